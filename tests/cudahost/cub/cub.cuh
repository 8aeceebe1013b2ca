/* cub.cuh - what kernels/cuda uses of CUB's device-wide calls, answered simply
 *
 * As there, a call without temporary memory only says how much it wants; that memory is spoiled here. Operators and
 * selections are called on the host. */
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

namespace cub {

static inline cudaError_t
cudahost_call (void *memory, size_t &bytes, size_t wanted, cudaStream_t stream, std::function<void ()> work)
{
  if (!memory) {
    bytes = wanted;
    return cudaSuccess;
  }
  if (bytes < wanted)
    return cudaErrorInvalidValue;
  return cudahost_enqueue (stream, [=] {
    memset (memory, 0xa5, wanted);
    work ();
  });
}

template <class It> using Value = typename std::iterator_traits<It>::value_type;

struct Sum {
  template <class T> T operator() (T a, T b) const
  {
    return a + b;
  }
};
struct Min {
  template <class T> T operator() (T a, T b) const
  {
    return b < a ? b : a;
  }
};
struct Max {
  template <class T> T operator() (T a, T b) const
  {
    return a < b ? b : a;
  }
};

struct DeviceScan {
  template <class In, class Out, class Op, class T>
  static cudaError_t ExclusiveScan (void *memory, size_t &bytes, In in, Out out, Op op, T initial, int n,
                                    cudaStream_t stream = nullptr)
  {
    return cudahost_call (memory, bytes, 256, stream, [=] {
      T sum = initial;
      for (int i = 0; i < n; i++) {
        T next = op (sum, static_cast<T> (in[i])); /* in and out may be the same */
        out[i] = sum;
        sum = next;
      }
    });
  }
  template <class In, class Out, class Op>
  static cudaError_t InclusiveScan (void *memory, size_t &bytes, In in, Out out, Op op, int n,
                                    cudaStream_t stream = nullptr)
  {
    return cudahost_call (memory, bytes, 256, stream, [=] {
      for (int i = 0; i < n; i++)
        out[i] = i ? op (out[i - 1], in[i]) : in[i];
    });
  }
  template <class In, class Out>
  static cudaError_t ExclusiveSum (void *memory, size_t &bytes, In in, Out out, int n, cudaStream_t stream = nullptr)
  {
    return ExclusiveScan (memory, bytes, in, out, Sum (), Value<In> (0), n, stream);
  }
  template <class In, class Out>
  static cudaError_t InclusiveSum (void *memory, size_t &bytes, In in, Out out, int n, cudaStream_t stream = nullptr)
  {
    return InclusiveScan (memory, bytes, in, out, Sum (), n, stream);
  }
};

struct DeviceSelect {
  template <class In, class Flag, class Out, class Count>
  static cudaError_t Flagged (void *memory, size_t &bytes, In in, Flag flag, Out out, Count count, int n,
                              cudaStream_t stream = nullptr)
  {
    return cudahost_call (memory, bytes, 256, stream, [=] {
      int kept = 0;
      for (int i = 0; i < n; i++)
        if (flag[i])
          out[kept++] = in[i];
      *count = kept;
    });
  }
  template <class In, class Out, class Count, class Select>
  static cudaError_t If (void *memory, size_t &bytes, In in, Out out, Count count, int n, Select select,
                         cudaStream_t stream = nullptr)
  {
    return cudahost_call (memory, bytes, 256, stream, [=] {
      int kept = 0;
      for (int i = 0; i < n; i++)
        if (select (in[i]))
          out[kept++] = in[i];
      *count = kept;
    });
  }
};

struct DeviceReduce {
  template <class In, class Out, class Op, class T>
  static cudaError_t Reduce (void *memory, size_t &bytes, In in, Out out, int n, Op op, T initial,
                             cudaStream_t stream = nullptr)
  {
    return cudahost_call (memory, bytes, 256, stream, [=] {
      T all = initial;
      for (int i = 0; i < n; i++)
        all = op (all, static_cast<T> (in[i]));
      *out = all;
    });
  }
  template <class In, class Out>
  static cudaError_t Sum (void *memory, size_t &bytes, In in, Out out, int n, cudaStream_t stream = nullptr)
  {
    return Reduce (memory, bytes, in, out, n, cub::Sum (), Value<In> (0), stream);
  }
  template <class In, class Out>
  static cudaError_t Min (void *memory, size_t &bytes, In in, Out out, int n, cudaStream_t stream = nullptr)
  {
    return Reduce (memory, bytes, in, out, n, cub::Min (), std::numeric_limits<Value<In> >::max (), stream);
  }
  template <class In, class Out>
  static cudaError_t Max (void *memory, size_t &bytes, In in, Out out, int n, cudaStream_t stream = nullptr)
  {
    return Reduce (memory, bytes, in, out, n, cub::Max (), std::numeric_limits<Value<In> >::lowest (), stream);
  }
};

/* Stable, by bits [first, end) of the key in CUB's order: of integers and floats as numbers, -0 as 0. */
struct DeviceRadixSort {
  template <class K, class V>
  static cudaError_t SortPairs (void *memory, size_t &bytes, const K *key, K *key_out, const V *value, V *value_out,
                                int n, int first = 0, int end = sizeof (K) * 8, cudaStream_t stream = nullptr)
  {
    return sort<false> (memory, bytes, key, key_out, value, value_out, n, first, end, stream);
  }
  template <class K, class V>
  static cudaError_t SortPairsDescending (void *memory, size_t &bytes, const K *key, K *key_out, const V *value,
                                          V *value_out, int n, int first = 0, int end = sizeof (K) * 8,
                                          cudaStream_t stream = nullptr)
  {
    return sort<true> (memory, bytes, key, key_out, value, value_out, n, first, end, stream);
  }
  template <class K>
  static cudaError_t SortKeys (void *memory, size_t &bytes, const K *key, K *key_out, int n, int first = 0,
                               int end = sizeof (K) * 8, cudaStream_t stream = nullptr)
  {
    return sort<false, K, char> (memory, bytes, key, key_out, nullptr, nullptr, n, first, end, stream);
  }
  template <class K>
  static cudaError_t SortKeysDescending (void *memory, size_t &bytes, const K *key, K *key_out, int n, int first = 0,
                                         int end = sizeof (K) * 8, cudaStream_t stream = nullptr)
  {
    return sort<true, K, char> (memory, bytes, key, key_out, nullptr, nullptr, n, first, end, stream);
  }

private:
  template <class K> static uint64_t digits (K key, int first, int end)
  {
    const int width = sizeof (K) * 8;
    const uint64_t sign = uint64_t (1) << (width - 1), all = sign | (sign - 1);
    uint64_t bits = 0;
    if (std::is_floating_point<K>::value && key == K (0))
      key = K (0);
    memcpy (&bits, &key, sizeof key);
    if (std::is_floating_point<K>::value)
      bits ^= bits & sign ? all : sign;
    else if (std::is_signed<K>::value)
      bits ^= sign;
    bits >>= first;
    return end - first < 64 ? bits & ((uint64_t (1) << (end - first)) - 1) : bits;
  }

  template <bool down, class K, class V>
  static cudaError_t sort (void *memory, size_t &bytes, const K *key, K *key_out, const V *value, V *value_out, int n,
                           int first, int end, cudaStream_t stream)
  {
    return cudahost_call (memory, bytes, 256 + static_cast<size_t> (n) * (sizeof (K) + sizeof (V)), stream, [=] {
      std::vector<int> order (static_cast<size_t> (n));
      std::iota (order.begin (), order.end (), 0);
      std::stable_sort (order.begin (), order.end (), [=] (int a, int b) {
        uint64_t x = digits (key[a], first, end), y = digits (key[b], first, end);
        return down ? y < x : x < y;
      });
      std::vector<K> sorted_key;
      std::vector<V> sorted_value;
      for (int i : order) {
        sorted_key.push_back (key[i]);
        if (value)
          sorted_value.push_back (value[i]);
      }
      std::copy (sorted_key.begin (), sorted_key.end (), key_out);
      std::copy (sorted_value.begin (), sorted_value.end (), value_out);
    });
  }
};

}
