/* wait.cu - the host reads what a stream has yet to copy */
#include "kernels/cuda/launch.cuh"

#include "tests/cudahost/bad/bad.h"

int
main ()
{
  cudaStream_t stream;
  int *from = bad_new<int> (1), *to = nullptr;
  cudaStreamCreateWithFlags (&stream, cudaStreamNonBlocking);
  cudaMallocHost (&to, sizeof *to);
  cudaMemset (from, 1, sizeof *from);
  cudaMemcpyAsync (to, from, sizeof *to, cudaMemcpyDeviceToHost, stream);
#ifdef FIXED
  cudaStreamSynchronize (stream);
#endif
  int got = *to;
  cudaStreamDestroy (stream);
  cudaFreeHost (to);
  cudaMemset (from, 0, sizeof *from);
  return got == 0x01010101 ? bad_end (from, 0) : 1;
}
