/* fft.cu - plans of cuFFT */
#include "kernels/cuda/fft.cuh"

#include <algorithm>

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
make_plan (NotchCudaPlan *plan)
{
  int shape[] = { plan->side, plan->side }, half[] = { plan->side, plan->side / 2 + 1 };
  bool forward = plan->type == CUFFT_R2C;
  int *in = forward ? shape : half, *out = forward ? half : shape;
  cufftResult result = cufftCreate (&plan->handle);
  if (result != CUFFT_SUCCESS)
    return result;
  result = cufftSetAutoAllocation (plan->handle, 0);
  if (result == CUFFT_SUCCESS)
    result = cufftMakePlanMany (plan->handle, 2, shape, in, 1, in[0] * in[1], out, 1, out[0] * out[1], plan->type,
                                plan->n, &plan->bytes);
  plan->made = result == CUFFT_SUCCESS;
  if (!plan->made)
    cufftDestroy (plan->handle);
  return result;
}

/* A plan that an earlier lane has left. */
static bool
take_plan (NotchDevice *device, NotchCudaPlan *plan)
{
  std::lock_guard<std::mutex> guard (device->lock);
  std::vector<NotchCudaPlan> &spare = device->free_plan;
  auto one = std::find_if (spare.begin (), spare.end (), [=] (const NotchCudaPlan &is) {
    return is.type == plan->type && is.side == plan->side && is.n == plan->n;
  });
  if (one == spare.end ())
    return false;
  *plan = *one;
  spare.erase (one);
  return true;
}

int
notch_cuda_plan_new (NotchLane *lane, NotchCudaPlan *plan, cufftType type, int side, int n)
{
  *plan = { 0, false, 0, type, side, n };
  cufftResult result = CUFFT_SUCCESS;
  if (!take_plan (lane->device, plan))
    do
      result = make_plan (plan);
    while (result == CUFFT_ALLOC_FAILED && notch_cuda_make_room (lane->device));
  if (result == CUFFT_SUCCESS)
    result = cufftSetStream (plan->handle, lane->stream);
  return check (lane, result, "making a transform");
}

void
notch_cuda_plan_free (NotchLane *lane, NotchCudaPlan *plan)
{
  std::lock_guard<std::mutex> guard (lane->device->lock);
  if (plan->made)
    lane->device->free_plan.push_back (*plan);
  plan->made = false;
}

bool
notch_cuda_plans_release (NotchDevice *device)
{
  bool any = !device->free_plan.empty ();
  for (const NotchCudaPlan &plan : device->free_plan)
    cufftDestroy (plan.handle);
  device->free_plan.clear ();
  return any;
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
