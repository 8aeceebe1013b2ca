/* fft.cu - plans of cuFFT */
#include "kernels/cuda/fft.cuh"

static int
check (NotchLane *lane, cufftResult result, const char *doing)
{
  if (result == CUFFT_SUCCESS)
    return 0;
  NOTCH_CUDA (lane, doing, cudaStreamSynchronize (lane->stream)); /* a device that is spoiled says so itself */
  const char *why = result == CUFFT_ALLOC_FAILED   ? "out of memory"
                    : result == CUFFT_INVALID_SIZE ? "there is no transform of this size"
                    : result == CUFFT_SETUP_FAILED ? "the library could not be set up"
                    : result == CUFFT_EXEC_FAILED  ? "it could not be run"
                                                   : "internal error";
  notch_cuda_fail (lane, "%s: cuFFT: %s (%d)", doing, why, (int) result);
  lane->fault.full = result == CUFFT_ALLOC_FAILED;
  return -1;
}

/* A handle serves one try. */
static cufftResult
make_plan (NotchCudaPlan *plan, cufftType type, int side, int n)
{
  int shape[] = { side, side }, half[] = { side, side / 2 + 1 };
  bool forward = type == CUFFT_R2C;
  int *in = forward ? shape : half, *out = forward ? half : shape;
  cufftResult result = cufftCreate (&plan->handle);
  if (result != CUFFT_SUCCESS)
    return result;
  result = cufftSetAutoAllocation (plan->handle, 0);
  if (result == CUFFT_SUCCESS)
    result = cufftMakePlanMany (plan->handle, 2, shape, in, 1, in[0] * in[1], out, 1, out[0] * out[1], type, n,
                                &plan->bytes);
  plan->made = result == CUFFT_SUCCESS;
  if (!plan->made)
    cufftDestroy (plan->handle);
  return result;
}

int
notch_cuda_plan_new (NotchLane *lane, NotchCudaPlan *plan, cufftType type, int side, int n)
{
  cufftResult result;
  do
    result = make_plan (plan, type, side, n);
  while (result == CUFFT_ALLOC_FAILED && notch_cuda_make_room (lane->device));
  if (result == CUFFT_SUCCESS)
    result = cufftSetStream (plan->handle, lane->stream);
  return check (lane, result, "making a transform");
}

void
notch_cuda_plan_free (NotchCudaPlan *plan)
{
  if (plan->made)
    cufftDestroy (plan->handle);
  plan->made = false;
}

int
notch_cuda_plan_share (NotchLane *lane, NotchCudaPlan *const *plan, int n_plans)
{
  char *work = nullptr;
  size_t most = 0;
  for (int i = 0; i < n_plans; i++)
    most = plan[i]->bytes > most ? plan[i]->bytes : most;
  if (most > 0 && notch_cuda_allocate (lane, &work, most) != 0)
    return -1;
  for (int i = 0; i < n_plans; i++)
    if (plan[i]->bytes > 0 && check (lane, cufftSetWorkArea (plan[i]->handle, work), "making a transform") != 0)
      return -1;
  return 0;
}

int
notch_cuda_forward (NotchLane *lane, const NotchCudaPlan *plan, float *in, cufftComplex *out)
{
  return check (lane, cufftExecR2C (plan->handle, in, out), "transforming");
}

int
notch_cuda_inverse (NotchLane *lane, const NotchCudaPlan *plan, cufftComplex *in, float *out)
{
  return check (lane, cufftExecC2R (plan->handle, in, out), "transforming");
}
