/* counting_iterator.h - n, n + 1, n + 2 … as something to read from */
#pragma once

#include <cstddef>

namespace thrust {

template <class T> struct counting_iterator {
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
