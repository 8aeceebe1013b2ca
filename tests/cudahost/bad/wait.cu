/* The host reads what a stream has yet to copy. */
static bool
wait (bool planted)
{
  cudaStream_t stream;
  int *pinned = nullptr;
  Memory<int> from (1);
  cudaStreamCreateWithFlags (&stream, cudaStreamNonBlocking);
  cudaHostAlloc ((void **) &pinned, sizeof *pinned, cudaHostAllocPortable);
  *pinned = 0;
  cudaMemset (from.at, 1, sizeof (int));
  cudaMemcpyAsync (pinned, from.at, sizeof *pinned, cudaMemcpyDeviceToHost, stream);
  if (!planted)
    cudaStreamSynchronize (stream);
  bool well = *pinned == 0x01010101;
  cudaStreamDestroy (stream);
  cudaFreeHost (pinned);
  return well;
}
