/* counting_iterator.h - n, n + 1, n + 2 … as something to read from */
#pragma once

#include <cstddef>
#include <iterator>

namespace thrust {

template <class T> struct counting_iterator {
  typedef std::random_access_iterator_tag iterator_category;
  typedef T value_type;
  typedef ptrdiff_t difference_type;
  typedef const T *pointer;
  typedef T reference;

  T first;
  explicit counting_iterator (T first_) : first (first_)
  {
  }
  T operator[] (ptrdiff_t i) const
  {
    return static_cast<T> (first + i);
  }
};

}
