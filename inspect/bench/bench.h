/* bench.h - figures of a benchmark: what was timed, how often, and what it moved */
#pragma once

#include "inspect/notch.h"
#include "inspect/reference/reference.h"

/* What a figure is of. */
typedef enum {
  NOTCH_BENCH_LIMIT,     /* what the device's memory gives */
  NOTCH_BENCH_STAGE,     /* one stage, or all of a tile's */
  NOTCH_BENCH_HOST,      /* the way up to a device: what pinned memory gives, and strips */
  NOTCH_BENCH_IMAGE,     /* a whole inspection */
  NOTCH_BENCH_CLASSIFIER /* items that a classifier is given; of these no bytes are counted */
} NotchBenchPart;

typedef struct {
  NotchBenchPart part;
  const char *name;
  int lanes;       /* that were at work together; of a classifier the threads */
  double bytes_px; /* read and written, counted, not measured */
  GArray *ns;      /* double, for a pixel, or an item of a classifier, one a round; in order once all is measured */
} NotchBenchRow;

typedef struct {
  NotchCompute compute;
  int rounds;
  gint64 size; /* px: side of the image */
  gboolean stages_only;
  GPtrArray *row; /* NotchBenchRow */
  NotchBenchStep step;
  gpointer data;
  int n_steps, steps; /* in all, and that were begun */
  const char *now;    /* the one in work */
} NotchBench;

enum {
#define NOTCH_STAGE(name, Args) STAGE_##name,
  NOTCH_STAGES (NOTCH_STAGE)
#undef NOTCH_STAGE
      N_STAGES
};

/* What the bytes that a stage moves follow from. */
typedef struct {
  const NotchLaneSize *size;
  int n_sources; /* dice that one is compared with */
  int die;       /* px: side of a tile's core */
  double crops;  /* a tile */
} NotchBenchTile;

/* Bytes that each stage reads and writes for a pixel of the core, were memory all there is; for `shift`, of a patch's. */
void notch_bench_bytes_cpu (const NotchBenchTile *tile, double bytes[N_STAGES]);
void notch_bench_bytes_cuda (const NotchBenchTile *tile, double bytes[N_STAGES]);
/* Likewise the CUDA backend's transforms of `filter` alone. */
double notch_bench_bytes_transforms (const NotchBenchTile *tile);

/* Adds a round to the figure of that name, which is begun where there is none yet. */
void notch_bench_note (NotchBench *bench, NotchBenchPart part, const char *name, int lanes, double bytes_px, double ns);
/* Tells what comes next, and counts it; FALSE with NOTCH_ERROR_CANCELLED when nothing shall. */
gboolean notch_bench_next (NotchBench *bench, const char *step, GError **error);
/* Tells how far it is, 0 to 1; FALSE when it shall end. */
gboolean notch_bench_go_on (const NotchBench *bench, double done);

/* Steps that each part tells. */
int notch_bench_stages_steps (const NotchBench *bench);
int notch_bench_host_steps (const NotchBench *bench);
int notch_bench_images_steps (const NotchBench *bench);
int notch_bench_classifiers_steps (const NotchBench *bench);
/* Rounds of copying, of every stage of the kernels, and of a tile's at the fast speed, on one lane and on all. */
gboolean notch_bench_stages (NotchBench *bench, GError **error);
/* Rounds of sending memory up to a device that has its own; nothing where there is none. */
gboolean notch_bench_host (NotchBench *bench, GError **error);
/* Rounds of whole inspections of a simulated image, from memory and from a file, at either speed. */
gboolean notch_bench_images (NotchBench *bench, GError **error);
/* Rounds of a forest over rows, of the network over images and patches of defects, and of its learning: on one thread and on
 * all where the processors compute, else on all beside the device. */
gboolean notch_bench_classifiers (NotchBench *bench, GError **error);

/* Seconds since some moment in the past. */
double notch_bench_now (void);
