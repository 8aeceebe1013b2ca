/* fft.cuh - cuFFT behind this one file: batches of two-dimensional real transforms
 *
 * A plan has a fixed number of transforms, whatever a batch has left: cuFFT may choose another way for another number, and
 * another way rounds otherwise. Plans of a lane have one work area. Making one
 * takes time, so the device keeps those that a lane gives back. cuFFT lets threads run different plans at the same time, and
 * not one: a plan belongs to one lane at a time, whose stream and work area it then has. */
#pragma once

#include "kernels/cuda/lane.cuh"

/* `n` transforms of side x side real numbers, one behind the other: CUFFT_R2C to side x (side / 2 + 1) complex ones,
 * CUFFT_C2R back, without the factor 1 / side^2, spoiling its input. On the lane's stream. -1 and a fault where it cannot be
 * made; it may be freed all the same. */
int notch_cuda_plan_new (NotchLane *lane, NotchCudaPlan *plan, cufftType type, int side, int n);
void notch_cuda_plan_free (NotchLane *lane, NotchCudaPlan *plan);

/* Gives plans, of which one works at a time, their work area; before they are used. */
int notch_cuda_plan_share (NotchLane *lane, NotchCudaPlan *const *plan, int n_plans);

int notch_cuda_forward (NotchLane *lane, const NotchCudaPlan *plan, float *in, cufftComplex *out);
int notch_cuda_inverse (NotchLane *lane, const NotchCudaPlan *plan, cufftComplex *in, float *out);
