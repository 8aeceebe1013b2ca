/* cufft.cpp - cuFFT's calls, answered by FFTW */
#include <cufft.h>

#include <algorithm>
#include <fftw3.h>
#include <map>
#include <mutex>
#include <vector>

namespace {

/* What FFTW and cuFFT call the advanced layout, of one side. */
struct Layout {
  std::vector<int> embed;
  int stride, distance;
};

struct Plan {
  std::vector<int> n;
  int batch;
  cufftType type;
  bool simple; /* the layout follows from n, and from whether the transform is in place */
  Layout in, out;
  cudaStream_t stream;
  bool automatic = true;
  void *work, *own_work;
  size_t work_bytes;
  std::map<std::pair<bool, int>, fftwf_plan> made; /* by in place or not, and direction */
};

std::mutex lock;
std::map<cufftHandle, Plan> plans;
cufftHandle last_handle;

/* FFTW's planner is used by the program's own transforms too, perhaps at this moment. */
const bool planner_is_safe = (fftwf_make_planner_thread_safe (), true);

size_t
bytes_of (const Plan &plan, const Layout &layout, bool real)
{
  size_t last = 0;
  for (size_t i = 0; i < plan.n.size (); i++) {
    bool half = i + 1 == plan.n.size () && !real && plan.type != CUFFT_C2C;
    last = last * static_cast<size_t> (layout.embed[i]) + static_cast<size_t> (half ? plan.n[i] / 2 : plan.n[i] - 1);
  }
  last = last * static_cast<size_t> (layout.stride)
         + static_cast<size_t> (plan.batch - 1) * static_cast<size_t> (layout.distance);
  return (last + 1) * (real ? sizeof (float) : sizeof (float2));
}

/* The layout without gaps; in place a real row is as long as its spectrum. */
Layout
simple_layout (const Plan &plan, bool real, bool in_place)
{
  Layout layout = { plan.n, 1, 1 };
  int &row = layout.embed.back ();
  if (plan.type != CUFFT_C2C)
    row = !real ? row / 2 + 1 : in_place ? 2 * (row / 2 + 1) : row;
  for (int n : layout.embed)
    layout.distance *= n;
  return layout;
}

cufftResult
execute (cufftHandle handle, cufftType type, void *in, void *out, int direction)
{
  std::lock_guard<std::mutex> hold (lock);
  auto known = plans.find (handle);
  if (known == plans.end () || known->second.n.empty ())
    return CUFFT_INVALID_PLAN;
  Plan &plan = known->second;
  if (plan.type != type)
    return CUFFT_INVALID_TYPE;
  bool in_place = in == out, real_in = type == CUFFT_R2C, real_out = type == CUFFT_C2R;
  Layout from = plan.simple ? simple_layout (plan, real_in, in_place) : plan.in;
  Layout to = plan.simple ? simple_layout (plan, real_out, in_place) : plan.out;
  if (!plan.work || !cudahost_on_device (plan.work, plan.work_bytes)
      || !cudahost_on_device (in, bytes_of (plan, from, real_in))
      || !cudahost_on_device (out, bytes_of (plan, to, real_out)))
    return CUFFT_INVALID_VALUE;
  fftwf_plan &fftw = plan.made[{ in_place, direction }];
  const int rank = static_cast<int> (plan.n.size ());
  const unsigned flags = FFTW_ESTIMATE | FFTW_UNALIGNED;
  float *x = static_cast<float *> (in), *y = static_cast<float *> (out);
  fftwf_complex *u = static_cast<fftwf_complex *> (in), *v = static_cast<fftwf_complex *> (out);
  if (!fftw && type == CUFFT_R2C)
    fftw = fftwf_plan_many_dft_r2c (rank, plan.n.data (), plan.batch, x, from.embed.data (), from.stride, from.distance,
                                    v, to.embed.data (), to.stride, to.distance, flags);
  else if (!fftw && type == CUFFT_C2R)
    fftw = fftwf_plan_many_dft_c2r (rank, plan.n.data (), plan.batch, u, from.embed.data (), from.stride, from.distance,
                                    y, to.embed.data (), to.stride, to.distance, flags);
  else if (!fftw)
    fftw = fftwf_plan_many_dft (rank, plan.n.data (), plan.batch, u, from.embed.data (), from.stride, from.distance, v,
                                to.embed.data (), to.stride, to.distance, direction, flags);
  fftwf_plan ready = fftw;
  void *work = plan.work;
  size_t work_bytes = plan.work_bytes;
  if (!ready)
    return CUFFT_EXEC_FAILED;
  return cudahost_enqueue (plan.stream,
                           [=] {
                             memset (work, 0xa5, work_bytes);
                             if (type == CUFFT_R2C)
                               fftwf_execute_dft_r2c (ready, x, v);
                             else if (type == CUFFT_C2R)
                               fftwf_execute_dft_c2r (ready, u, y);
                             else
                               fftwf_execute_dft (ready, u, v);
                           })
             ? CUFFT_EXEC_FAILED
             : CUFFT_SUCCESS;
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
  cudaDeviceSynchronize ();
  std::lock_guard<std::mutex> hold (lock);
  auto known = plans.find (handle);
  if (known == plans.end ())
    return CUFFT_INVALID_PLAN;
  for (auto &one : known->second.made)
    fftwf_destroy_plan (one.second);
  cudaFree (known->second.own_work);
  plans.erase (known);
  return CUFFT_SUCCESS;
}

cufftResult
cufftMakePlanMany (cufftHandle handle, int rank, int *n, int *inembed, int istride, int idist, int *onembed,
                   int ostride, int odist, cufftType type, int batch, size_t *work_bytes)
{
  std::lock_guard<std::mutex> hold (lock);
  auto known = plans.find (handle);
  if (known == plans.end () || !known->second.n.empty ())
    return CUFFT_INVALID_PLAN;
  if (rank < 1 || rank > 3 || batch < 1 || !n || !work_bytes || *std::min_element (n, n + rank) < 1)
    return CUFFT_INVALID_VALUE;
  Plan &plan = known->second;
  plan.n.assign (n, n + rank);
  plan.batch = batch;
  plan.type = type;
  plan.simple = !inembed || !onembed;
  if (!plan.simple) {
    plan.in = { { inembed, inembed + rank }, istride, idist };
    plan.out = { { onembed, onembed + rank }, ostride, odist };
  }
  plan.work_bytes = *work_bytes = static_cast<size_t> (batch) * 256;
  if (plan.automatic && cudaMalloc (&plan.own_work, plan.work_bytes) != cudaSuccess) {
    plan.n.clear ();
    return CUFFT_ALLOC_FAILED;
  }
  plan.work = plan.own_work;
  return CUFFT_SUCCESS;
}

cufftResult
cufftPlanMany (cufftHandle *handle, int rank, int *n, int *inembed, int istride, int idist, int *onembed, int ostride,
               int odist, cufftType type, int batch)
{
  size_t work_bytes = 0;
  cufftResult result = cufftCreate (handle);
  if (result == CUFFT_SUCCESS)
    result = cufftMakePlanMany (*handle, rank, n, inembed, istride, idist, onembed, ostride, odist, type, batch,
                                &work_bytes);
  if (result != CUFFT_SUCCESS)
    cufftDestroy (*handle);
  return result;
}

/* Changes a plan, if there is such a one. */
static cufftResult
change (cufftHandle handle, std::function<void (Plan &)> how)
{
  std::lock_guard<std::mutex> hold (lock);
  auto known = plans.find (handle);
  if (known == plans.end ())
    return CUFFT_INVALID_PLAN;
  how (known->second);
  return CUFFT_SUCCESS;
}

cufftResult
cufftSetAutoAllocation (cufftHandle handle, int automatic)
{
  return change (handle, [=] (Plan &plan) { plan.automatic = automatic; });
}

cufftResult
cufftSetWorkArea (cufftHandle handle, void *memory)
{
  return change (handle, [=] (Plan &plan) { plan.work = memory; });
}

cufftResult
cufftGetSize (cufftHandle handle, size_t *work_bytes)
{
  return change (handle, [=] (Plan &plan) { *work_bytes = plan.work_bytes; });
}

cufftResult
cufftSetStream (cufftHandle handle, cudaStream_t stream)
{
  return change (handle, [=] (Plan &plan) { plan.stream = stream; });
}

cufftResult
cufftGetVersion (int *version)
{
  *version = 12000;
  return CUFFT_SUCCESS;
}

cufftResult
cufftExecR2C (cufftHandle handle, cufftReal *in, cufftComplex *out)
{
  return execute (handle, CUFFT_R2C, in, out, CUFFT_FORWARD);
}

cufftResult
cufftExecC2R (cufftHandle handle, cufftComplex *in, cufftReal *out)
{
  return execute (handle, CUFFT_C2R, in, out, CUFFT_INVERSE);
}

cufftResult
cufftExecC2C (cufftHandle handle, cufftComplex *in, cufftComplex *out, int direction)
{
  return execute (handle, CUFFT_C2C, in, out, direction);
}
