/* bad.cu - mistakes planted to be found; bad NAME makes one, bad NAME right does it right. Ends well if the result is right */
#include "kernels/cuda/launch.cuh"

#include <stdio.h>
#include <string.h>

/* n values on the device. */
template <class T> struct Memory {
  T *at = nullptr;
  explicit Memory (size_t n)
  {
    cudaMalloc ((void **) &at, n * sizeof (T));
  }
  ~Memory ()
  {
    cudaFree (at);
  }
  T home (int i) const
  {
    T value = {};
    cudaMemcpy (&value, at + i, sizeof value, cudaMemcpyDeviceToHost);
    return value;
  }
};

#include "tests/cudahost/bad/barrier.cu"
#include "tests/cudahost/bad/blocks.cu"
#include "tests/cudahost/bad/divergent.cu"
#include "tests/cudahost/bad/overrun-global.cu"
#include "tests/cudahost/bad/overrun-shared.cu"
#include "tests/cudahost/bad/uninitialised.cu"
#include "tests/cudahost/bad/wait.cu"

static const struct {
  const char *name;
  bool (*make) (bool planted);
} mistakes[] = {
  { "barrier", barrier },
  { "blocks", blocks },
  { "divergent", divergent },
  { "overrun-global", overrun_global },
  { "overrun-shared", overrun_shared },
  { "uninitialised-global", uninitialised_global },
  { "uninitialised-shared", uninitialised_shared },
  { "wait", wait },
};

int
main (int argc, char **argv)
{
  for (const auto &mistake : mistakes)
    if (argc > 1 && strcmp (argv[1], mistake.name) == 0) {
      bool well = mistake.make (argc == 2);
      puts (well ? "right" : "wrong");
      return !well;
    }
  return 2;
}
