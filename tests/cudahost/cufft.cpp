/* cufft.cpp - cuFFT's calls, answered by FFTW */
#include <cufft.h>

#include <fftw3.h>
#include <map>
#include <mutex>

namespace {

/* What FFTW and cuFFT call the advanced layout, of one side. */
struct Layout {
  int embed[2], stride, distance;
};

struct Plan {
  int n[2], batch;
  cufftType type;
  Layout in, out;
  cudaStream_t stream;
  void *work;
  size_t work_bytes; /* 0: it is not made yet */
  void *own;         /* memory of the device, besides */
  fftwf_plan fftw;
};

std::mutex lock;
std::map<cufftHandle, Plan> plans;
cufftHandle last_handle;

/* FFTW's planner is used by the program's own transforms too, perhaps at this moment. */
const bool planner_is_safe = (fftwf_make_planner_thread_safe (), true);

/* From the first to the last number of a side; rows of the spectrum are half as long. */
size_t
bytes_of (const Plan &plan, const Layout &layout, bool real)
{
  size_t row = static_cast<size_t> (real ? plan.n[1] - 1 : plan.n[1] / 2);
  size_t last = static_cast<size_t> (plan.n[0] - 1) * static_cast<size_t> (layout.embed[1]) + row;
  last = last * static_cast<size_t> (layout.stride)
         + static_cast<size_t> (plan.batch - 1) * static_cast<size_t> (layout.distance);
  return (last + 1) * (real ? sizeof (float) : sizeof (float2));
}

cufftResult
execute (cufftHandle handle, cufftType type, void *in, void *out)
{
  std::lock_guard<std::mutex> hold (lock);
  auto known = plans.find (handle);
  if (known == plans.end () || known->second.work_bytes == 0)
    return CUFFT_INVALID_PLAN;
  Plan &plan = known->second;
  if (plan.type != type)
    return CUFFT_INVALID_TYPE;
  const bool forward = type == CUFFT_R2C;
  if (!plan.work || !cudahost_on_device (plan.work, plan.work_bytes)
      || !cudahost_on_device (in, bytes_of (plan, plan.in, forward))
      || !cudahost_on_device (out, bytes_of (plan, plan.out, !forward)) || in == out)
    return CUFFT_INVALID_VALUE;
  const Layout &from = plan.in, &to = plan.out;
  const unsigned flags = FFTW_ESTIMATE | FFTW_UNALIGNED;
  float *real = static_cast<float *> (forward ? in : out);
  fftwf_complex *spectrum = static_cast<fftwf_complex *> (forward ? out : in);
  if (!plan.fftw)
    plan.fftw = forward ? fftwf_plan_many_dft_r2c (2, plan.n, plan.batch, real, from.embed, from.stride, from.distance,
                                                   spectrum, to.embed, to.stride, to.distance, flags)
                        : fftwf_plan_many_dft_c2r (2, plan.n, plan.batch, spectrum, from.embed, from.stride,
                                                   from.distance, real, to.embed, to.stride, to.distance, flags);
  if (!plan.fftw)
    return CUFFT_EXEC_FAILED;
  const fftwf_plan fftw = plan.fftw;
  void *work = plan.work;
  const size_t work_bytes = plan.work_bytes;
  return cudahost_enqueue (plan.stream,
                           [=] {
                             memset (work, 0xa5, work_bytes);
                             if (forward)
                               fftwf_execute_dft_r2c (fftw, real, spectrum);
                             else
                               fftwf_execute_dft_c2r (fftw, spectrum, real);
                           })
             ? CUFFT_EXEC_FAILED
             : CUFFT_SUCCESS;
}

/* Changes a plan, if there is such a one. */
cufftResult
change (cufftHandle handle, std::function<void (Plan &)> how)
{
  std::lock_guard<std::mutex> hold (lock);
  auto known = plans.find (handle);
  if (known == plans.end ())
    return CUFFT_INVALID_PLAN;
  how (known->second);
  return CUFFT_SUCCESS;
}

}

cufftResult
cufftCreate (cufftHandle *handle)
{
  std::lock_guard<std::mutex> hold (lock);
  *handle = ++last_handle;
  plans[*handle];
  return planner_is_safe ? CUFFT_SUCCESS : CUFFT_SETUP_FAILED;
}

cufftResult
cufftDestroy (cufftHandle handle)
{
  Plan plan = {};
  cufftResult result = change (handle, [&] (Plan &known) { plan = known; });
  if (result != CUFFT_SUCCESS)
    return result;
  if (plan.stream)
    cudaStreamSynchronize (plan.stream);
  cudaFree (plan.own);
  std::lock_guard<std::mutex> hold (lock);
  if (plan.fftw)
    fftwf_destroy_plan (plan.fftw);
  plans.erase (handle);
  return CUFFT_SUCCESS;
}

cufftResult
cufftMakePlanMany (cufftHandle handle, int rank, int *n, int *inembed, int istride, int idist, int *onembed,
                   int ostride, int odist, cufftType type, int batch, size_t *work_bytes)
{
  if (rank != 2 || batch < 1 || n[0] < 1 || n[1] < 1 || !inembed || !onembed)
    return CUFFT_INVALID_VALUE;
  *work_bytes = static_cast<size_t> (batch) * 256;
  void *own = nullptr;
  if (cudaMalloc (&own, 64 << 10) != cudaSuccess)
    return CUFFT_ALLOC_FAILED;
  cudahost_count_plan ();
  return change (handle, [=] (Plan &plan) {
    plan.n[0] = n[0], plan.n[1] = n[1];
    plan.batch = batch;
    plan.type = type;
    plan.in = { { inembed[0], inembed[1] }, istride, idist };
    plan.out = { { onembed[0], onembed[1] }, ostride, odist };
    plan.work_bytes = *work_bytes;
    plan.own = own;
  });
}

cufftResult
cufftSetAutoAllocation (cufftHandle handle, int automatic)
{
  cufftResult known = change (handle, [] (Plan &) {});
  return automatic && known == CUFFT_SUCCESS ? CUFFT_INVALID_VALUE : known; /* plans here share their memory */
}

cufftResult
cufftSetWorkArea (cufftHandle handle, void *memory)
{
  return change (handle, [=] (Plan &plan) { plan.work = memory; });
}

cufftResult
cufftSetStream (cufftHandle handle, cudaStream_t stream)
{
  return change (handle, [=] (Plan &plan) { plan.stream = stream; });
}

cufftResult
cufftExecR2C (cufftHandle handle, cufftReal *in, cufftComplex *out)
{
  return execute (handle, CUFFT_R2C, in, out);
}

cufftResult
cufftExecC2R (cufftHandle handle, cufftComplex *in, cufftReal *out)
{
  return execute (handle, CUFFT_C2R, in, out);
}
