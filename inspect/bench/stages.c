/* stages.c - every stage of the kernels on tiles of drawn dice, and how fast the device copies
 *
 * Lanes are a crew's. A round begins with a copy, and then works off the same chain of stages again and again, waiting for
 * the device after every stage: that is what it costs, whether the device works while it is called or on its own. Where
 * all lanes are timed they start together, and share what they share in an inspection, too. The fast speed's rounds have
 * the stages of a tile only; figures are of those that it changes, and of the tile. */
#include "inspect/bench/bench.h"
#include "inspect/detect/survey.h"

#include <math.h>

/* What is copied, either way: several times any cache for all lanes together, and for a lane that has one of its own. */
#define COPY_BYTES       ((gsize) 256 << 20)
#define LEAST_COPY_BYTES ((gsize) 16 << 20)
#define COPIES           4

#define CHAINS    12 /* batches a round; fewer where the image that is inspected has fewer than WHOLE px a side */
#define WHOLE     4096
#define PAIRS     32 /* that `shift` registers a batch */
#define COLS      9  /* dice of the strip */
#define ROWS      3
#define FIRST_COL 1 /* of a tile; it and its sources lie within the strip */
#define N_COLS    (COLS - 3)
#define MAX_BLOBS 4096 /* a tile, as in an inspection */
#define MAX_CROPS 32

#define SIGMA     100 /* grey levels: of the strip's noise */
#define THRESHOLD 6

enum {
#define NOTCH_STAGE(name, Args) STAGE_##name,
  NOTCH_STAGES (NOTCH_STAGE)
#undef NOTCH_STAGE
      N_STAGES
};

enum { FULL, FAST, N_SPEEDS };

static const NotchSpeed *const speeds[N_SPEEDS] = { &notch_speed_full, &notch_speed_fast };

static const char *const stage_name[N_SPEEDS][N_STAGES] = {
#define NOTCH_STAGE(name, Args) #name,
  { NOTCH_STAGES (NOTCH_STAGE) },
#undef NOTCH_STAGE
#define NOTCH_STAGE(name, Args) #name " fast",
  { NOTCH_STAGES (NOTCH_STAGE) },
#undef NOTCH_STAGE
};
static const char *const tile_name[N_SPEEDS] = { "tile", "tile fast" };

/* The stages that an inspection does with every tile, one after the other. */
#define FIRST_OF_TILE STAGE_gather
#define LAST_OF_TILE  STAGE_patch

/* The dice around the one that is inspected, by columns and rows; nearest first. */
static const struct {
  int col, row;
} around[] = { { -1, 0 }, { 1, 0 }, { 0, -1 }, { 0, 1 }, { -1, -1 }, { 1, -1 }, { -1, 1 }, { 1, 1 } };
#define MOST_SOURCES ((int) G_N_ELEMENTS (around))

/* What all lanes work on. */
typedef struct {
  const NotchBench *bench;
  int speed;     /* FULL or FAST */
  int n_sources; /* dice that one is compared with */
  int chains;    /* batches a round */
  NotchRecipe *recipe;
  NotchPlan *plan;
  NotchLaneSize size;
  int die; /* px: side of a die, and of a tile's core */
  guint16 *pixel;
  const void **row;
  NotchStripMem *mem;
} Scene;

/* Lanes wait here for each other. */
typedef struct {
  GMutex lock;
  GCond opened;
  int lanes, waiting, turn;
} Gate;

/* One lane's part of a round. */
typedef struct {
  const Scene *scene;
  Gate *gate;
  int index; /* of the lane */
  gsize copy_bytes;
  double copy_start, copy_end;
  double spent[N_STAGES]; /* seconds */
  gint64 crops;
  NotchTile *tile;
  NotchPiece *piece;
  NotchSourceShift *source;
  NotchBatch batch;
  NotchPair pair[PAIRS];
  NotchShiftFound shift_found[PAIRS];
  NotchTileFound *found;
  double *power;
  gint64 n_power;
  struct {
#define NOTCH_STAGE(name, Args) Args name;
    NOTCH_STAGES (NOTCH_STAGE)
#undef NOTCH_STAGE
  } arguments;
} Drive;

/* ---- scene ----------------------------------------------------------------------------------------------------- */

static double
gaussian (GRand *random)
{
  double u = g_rand_double_range (random, 1e-12, 1), v = g_rand_double (random);
  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

/* Dice of a fine pattern with noise; each has a spot of its own, so that there is something to label. */
static void
draw (Scene *scene)
{
  gsize width = (gsize) COLS * (gsize) scene->die, height = (gsize) ROWS * (gsize) scene->die;
  g_autoptr (GRand) random = g_rand_new_with_seed (3);
  const guint n_noise = 1 << 16;
  g_autofree float *noise = g_new (float, n_noise);
  for (guint i = 0; i < n_noise; i++)
    noise[i] = (float) (SIGMA * gaussian (random));
  for (gsize y = 0; y < height; y++) {
    guint16 *row = scene->pixel + y * width;
    scene->row[y] = row;
    for (gsize x = 0; x < width; x++)
      row[x] = (guint16) (20000 + 8000 * sin (2 * G_PI * (double) x / 14) * sin (2 * G_PI * (double) y / 16)
                          + (double) noise[g_rand_int (random) % n_noise]);
  }
  for (int die = 0; die < COLS * ROWS; die++) {
    gsize x = (gsize) (die % COLS * scene->die + g_rand_int_range (random, 40, scene->die - 40));
    gsize y = (gsize) (die / COLS * scene->die + g_rand_int_range (random, 40, scene->die - 40));
    for (gsize k = 0; k < 9; k++)
      scene->pixel[(y + k / 3) * width + x + k % 3] += 12 * SIGMA;
  }
}

static void
scene_free (Scene *scene)
{
  if (!scene)
    return;
  if (scene->mem)
    scene->bench->compute.kernels->strip_free (scene->mem);
  g_free (scene->pixel);
  g_free (scene->row);
  notch_plan_free (scene->plan);
  notch_recipe_free (scene->recipe);
  g_free (scene);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)

static Scene *
scene_new (const NotchBench *bench, int speed, GError **error)
{
  const NotchCompute *compute = &bench->compute;
  g_autoptr (Scene) scene = g_new0 (Scene, 1);
  scene->bench = bench;
  scene->speed = speed;
  scene->n_sources = MIN (MOST_SOURCES, speeds[speed]->sources);
  scene->chains = (int) (CHAINS * MIN (bench->size, WHOLE) / WHOLE);
  scene->plan = g_new0 (NotchPlan, 1);
  scene->plan->speed = speeds[speed];
  const NotchRecipe *recipe = scene->plan->recipe = scene->recipe = notch_recipe_new ();
  notch_plan_make_bank (scene->plan);
  scene->die = recipe->detect.tile_px - 2 * recipe->detect.halo_px;
  scene->size = (NotchLaneSize){
    .batch = notch_compute_batch (compute),
    .size = recipe->detect.tile_px,
    .halo = recipe->detect.halo_px,
    .shift_size = notch_reference_patch_size (scene->die, scene->die),
    .max_blobs = MAX_BLOBS,
    .patch_side = MIN (recipe->report.crop_px, 2 * recipe->detect.halo_px),
    .max_patches = MAX_CROPS,
    .n_channels = scene->plan->n_channels,
    .channel = scene->plan->channel,
  };
  scene->pixel = g_new (guint16, (gsize) COLS * ROWS * (gsize) scene->die * (gsize) scene->die);
  scene->row = g_new (const void *, ROWS * scene->die);
  draw (scene);
  const NotchPixels pixels = {
    NOTCH_SAMPLE_U16, COLS * scene->die, ROWS * scene->die, 0, ROWS * scene->die, scene->row
  };
  char fault[256] = "";
  scene->mem = compute->kernels->strip_up (compute->device[0], &pixels, fault);
  if (scene->mem)
    return g_steal_pointer (&scene);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_DEVICE, "%s: %s", compute->kernels->name, fault);
  return NULL;
}

/* ---- one lane -------------------------------------------------------------------------------------------------- */

static void
gate_pass (Gate *gate)
{
  g_mutex_lock (&gate->lock);
  int turn = gate->turn;
  if (++gate->waiting == gate->lanes) {
    gate->waiting = 0;
    gate->turn++;
    g_cond_broadcast (&gate->opened);
  }
  while (gate->turn == turn)
    g_cond_wait (&gate->opened, &gate->lock);
  g_mutex_unlock (&gate->lock);
}

/* A tile reaches over the corner where four dice meet: four pieces, each compared with the dice all around. */
static void
place_tile (Drive *drive, int t, int col)
{
  const Scene *scene = drive->scene;
  int die = scene->die, size = scene->size.size, halo = scene->size.halo, half = size / 2, n = scene->n_sources;
  drive->tile[t] = (NotchTile){
    .x = col * die - halo,
    .y = die - halo,
    .core_x = halo,
    .core_y = halo,
    .core_w = die,
    .core_h = die,
    .inside_w = size,
    .inside_h = size,
    .first_piece = 4 * t,
    .n_pieces = 4,
  };
  for (int p = 4 * t; p < 4 * t + 4; p++) {
    drive->piece[p] = (NotchPiece){ p % 2 * half, p / 2 % 2 * half, half, half, n * p, n, 0 };
    for (int k = 0; k < n; k++)
      drive->source[n * p + k] = (NotchSourceShift){
        .dx = around[k].col * die + 0.002 * k, .dy = around[k].row * die - 0.001 * k, .zoom = 1, .mem = NOTCH_MEM_IMAGE
      };
  }
}

static void
place_batch (Drive *drive, int chain)
{
  int n = drive->batch.n_tiles;
  for (int t = 0; t < n; t++)
    place_tile (drive, t, FIRST_COL + (drive->index + chain * n + t) % N_COLS);
}

static Drive *
drive_new (const Scene *scene, Gate *gate, int index)
{
  const NotchRecipe *recipe = scene->recipe;
  const NotchLaneSize *size = &scene->size;
  Drive *drive = g_new0 (Drive, 1);
  drive->scene = scene;
  drive->gate = gate;
  drive->index = index;
  drive->copy_bytes = MAX (COPY_BYTES / (gsize) gate->lanes, LEAST_COPY_BYTES);
  drive->tile = g_new0 (NotchTile, size->batch);
  drive->piece = g_new0 (NotchPiece, 4 * size->batch);
  drive->source = g_new0 (NotchSourceShift, 4 * scene->n_sources * size->batch);
  drive->found = g_new0 (NotchTileFound, size->batch);
  drive->power = g_new0 (double, (gsize) size->size *(gsize) (size->size / 2 + 1));
  drive->batch = (NotchBatch){ size->batch, drive->tile, drive->piece, drive->source, { scene->mem } };
  for (int i = 0; i < PAIRS; i++) {
    gint64 x = (1 + i % N_COLS) * scene->die + 7 * i, y = scene->die + 5 * i;
    drive->pair[i] = (NotchPair){ x, y, x + scene->die, y, NOTCH_MEM_IMAGE, NOTCH_MEM_IMAGE, 4 };
  }
  const NotchBatch *batch = &drive->batch;
  const NotchNoise noise = { .a = 1.2f * SIGMA * SIGMA }; /* the reference has some, too */
  drive->arguments.gather = (NotchGather){ batch };
  drive->arguments.refer = (NotchRefer){ batch };
  drive->arguments.fit = notch_plan_fit (scene->plan, &notch_reference_die, batch);
  drive->arguments.follow = (NotchFollow){ batch, { .a = noise.a, .c = 0.01f } };
  drive->arguments.normalise = (NotchNormalise){ batch, noise, 0 };
  drive->arguments.filter = (NotchFilter){ batch, size->n_channels, size->channel, NULL };
  drive->arguments.label = (NotchLabel){ batch, THRESHOLD, (float) recipe->detect.grow_sigma, recipe->detect.merge_px };
  drive->arguments.patch = (NotchPatch){ batch, size->patch_side, size->max_patches };
  drive->arguments.shift = (NotchShift){ { scene->mem }, PAIRS, drive->pair, 0, drive->shift_found };
  drive->arguments.power = (NotchPower){ batch, drive->power, &drive->n_power };
  return drive;
}

static void
drive_free (gpointer data)
{
  Drive *drive = data;
  g_free (drive->tile);
  g_free (drive->piece);
  g_free (drive->source);
  g_free (drive->found);
  g_free (drive->power);
  g_free (drive);
}

/* Whether a scene's rounds have a stage. */
static gboolean
has_stage (const Scene *scene, int stage)
{
  return scene->speed == FULL || (stage >= FIRST_OF_TILE && stage <= LAST_OF_TILE);
}

/* Whether there is a figure of it: of the fast speed, where it is another one. */
static gboolean
tells_stage (const Scene *scene, int stage)
{
  return scene->speed == FULL || stage == STAGE_refer || stage == STAGE_fit || stage == STAGE_filter;
}

/* Waits for a stage that began at `start`, and adds what it took. What it takes to ask a device that has nothing to do is
 * left out; the call itself never is. */
static gboolean
wait_for_stage (Drive *drive, NotchLane *lane, double start, double *spent)
{
  const NotchKernels *k = drive->scene->bench->compute.kernels;
  double called = notch_bench_now ();
  if (k->finish (lane, drive->found) != 0)
    return FALSE;
  double done = notch_bench_now ();
  if (k->finish (lane, drive->found) != 0)
    return FALSE;
  double asking = notch_bench_now () - done;
  *spent += MAX (called - start, done - start - asking);
  return TRUE;
}

static gboolean
run_chain (Drive *drive, NotchLane *lane, double spent[N_STAGES])
{
  const NotchKernels *k = drive->scene->bench->compute.kernels;
  double start;
#define NOTCH_STAGE(name, Args)                                                                                        \
  start = notch_bench_now ();                                                                                          \
  if (has_stage (drive->scene, STAGE_##name)                                                                           \
      && (k->name (lane, &drive->arguments.name) != 0 || !wait_for_stage (drive, lane, start, &spent[STAGE_##name])))  \
    return FALSE;
  NOTCH_STAGES (NOTCH_STAGE)
#undef NOTCH_STAGE
  return TRUE;
}

/* Every lane passes both gates, whatever happens to it: the others wait there. What comes before them warms up. */
static gboolean
drive_lane (NotchLane *lane, gpointer data, GError **error)
{
  Drive *drive = data;
  if (!lane)
    return FALSE;
  const NotchKernels *k = drive->scene->bench->compute.kernels;
  double warm[N_STAGES] = { 0 };
  gboolean copies = drive->scene->speed == FULL, well = !copies || k->copy (lane, drive->copy_bytes, 1) == 0;
  gate_pass (drive->gate);
  drive->copy_start = notch_bench_now ();
  well = well && (!copies || k->copy (lane, drive->copy_bytes, COPIES) == 0);
  drive->copy_end = notch_bench_now ();
  place_batch (drive, 0);
  well = well && run_chain (drive, lane, warm);
  gate_pass (drive->gate);
  for (int chain = 0; chain < drive->scene->chains && well; chain++) {
    place_batch (drive, chain);
    well = run_chain (drive, lane, drive->spent);
    for (int t = 0; t < drive->batch.n_tiles && well; t++)
      drive->crops += drive->found[t].n_patches;
  }
  return well || notch_kernels_error (k, lane, error);
}

/* ---- figures --------------------------------------------------------------------------------------------------- */

/* Bytes that each stage reads and writes for a pixel, were memory all there is: whatever goes in or out once for every pass
 * that has to be made over it. Of a core's pixel, but for `shift`: of a patch's. */
static void
count_bytes (const Scene *scene, double crops, double bytes[N_STAGES])
{
  const double sample = sizeof (guint16), plane = sizeof (float), complex = 2 * sizeof (float);
  const double side = scene->size.patch_side, core = (double) scene->die * scene->die;
  double tile = (double) scene->size.size * scene->size.size / core; /* its pixels to those of its core */
  double half = complex / 2;                                         /* of a pixel's spectrum */
  double filters = 0;
  for (int c = 0; c < scene->plan->n_channels; c++) {
    int d = scene->plan->channel[c].decimate;
    /* columns back: spectrum and transfer function in, product out; rows back: product in; score in and out */
    filters += (half + plane / 2 + half + half + 2 * plane) / (d * d);
  }
  bytes[STAGE_gather] = tile * (sample + plane);                   /* image in; TEST out */
  bytes[STAGE_refer] = tile * (scene->n_sources * sample + plane); /* sources in; REF out */
  bytes[STAGE_fit] = tile * 4 * plane;                             /* TEST and REF in; REF and RES out */
  bytes[STAGE_follow] = tile * (2 + 4 + 4 + 1) * plane;            /* RES and REF in, four planes out and in; RES out */
  bytes[STAGE_normalise] = tile * 3 * plane;                       /* RES and REF in; Z out */
  /* rows: Z in, half a spectrum out; columns: in and out; the filters; FINE out */
  bytes[STAGE_filter] = tile * (plane + 3 * half + filters + plane);
  bytes[STAGE_label] = tile * 2 * plane;                             /* SCORE and FINE in; blobs are few */
  bytes[STAGE_patch] = crops / core * side * side * 2 * (2 * plane); /* TEST and REF in and out, of crops */
  /* two patches: samples in, rows out, columns in and out; both in, product out; back: columns in and out, rows in and out;
   * the peak is looked for in what came of it */
  bytes[STAGE_shift] = 2 * (sample + 3 * half) + 3 * half + 3 * half + plane + plane;
  /* rows: Z in, half a spectrum out; columns: in and out; squares: in, the sum in and out */
  bytes[STAGE_power] = tile * (plane + 4 * half + 2 * sizeof (double) / 2);
}

/* Pixels that a lane's round gave a stage. */
static double
pixels_of (const Scene *scene, int stage)
{
  double side = stage == STAGE_shift ? scene->size.shift_size : scene->die;
  return scene->chains * (stage == STAGE_shift ? PAIRS : scene->size.batch) * side * side;
}

static void
note_round (NotchBench *bench, const Scene *scene, const GPtrArray *drives)
{
  int lanes = (int) drives->len;
  double spent[N_STAGES] = { 0 }, bytes[N_STAGES] = { 0 }, crops = 0, copied = 0, start = INFINITY, end = 0;
  for (guint i = 0; i < drives->len; i++) {
    const Drive *drive = drives->pdata[i];
    start = MIN (start, drive->copy_start), end = MAX (end, drive->copy_end);
    copied += COPIES * (double) drive->copy_bytes;
    crops += (double) drive->crops / (lanes * scene->chains * scene->size.batch);
    for (int s = 0; s < N_STAGES; s++)
      spent[s] += drive->spent[s] / lanes;
  }
  count_bytes (scene, crops, bytes);
  if (scene->speed == FULL)
    notch_bench_note (bench, NOTCH_BENCH_LIMIT, "copy", lanes, 2 * sizeof (float),
                      1e9 * (end - start) / copied * sizeof (float));
  double tile = 0, tile_bytes = 0;
  for (int s = 0; s < N_STAGES; s++) {
    double ns = 1e9 * spent[s] / (lanes * pixels_of (scene, s));
    if (tells_stage (scene, s))
      notch_bench_note (bench, NOTCH_BENCH_STAGE, stage_name[scene->speed][s], lanes, bytes[s], ns);
    if (s >= FIRST_OF_TILE && s <= LAST_OF_TILE)
      tile += ns, tile_bytes += bytes[s];
    if (s == LAST_OF_TILE)
      notch_bench_note (bench, NOTCH_BENCH_STAGE, tile_name[scene->speed], lanes, tile_bytes, tile);
  }
}

static gboolean
run_round (NotchBench *bench, Scene *scene, NotchCrew *crew, GError **error)
{
  scene->size.batch = notch_crew_batch (crew); /* fewer than were asked for where the device has little room */
  Gate gate = { .lanes = notch_crew_size (crew) };
  g_autoptr (GPtrArray) drives = g_ptr_array_new_with_free_func (drive_free);
  g_mutex_init (&gate.lock);
  g_cond_init (&gate.opened);
  for (int i = 0; i < gate.lanes; i++)
    g_ptr_array_add (drives, drive_new (scene, &gate, i));
  for (int i = 0; i < gate.lanes; i++)
    notch_crew_push (crew, 0, drive_lane, drives->pdata[i]);
  gboolean well = notch_crew_wait (crew, error);
  g_mutex_clear (&gate.lock);
  g_cond_clear (&gate.opened);
  if (well)
    note_round (bench, scene, drives);
  return well;
}

/* One lane, and all of them where there are more. */
static int
n_crews (const NotchBench *bench)
{
  return bench->compute.kernels->workers (bench->compute.device[0], bench->compute.jobs) > 1 ? 2 : 1;
}

int
notch_bench_stages_steps (const NotchBench *bench)
{
  return bench->rounds * N_SPEEDS * n_crews (bench);
}

/* What is timed at one speed. */
typedef struct {
  Scene *scene;
  NotchCrew *crew[2];
} Set;

static void
set_clear (Set *set)
{
  for (int i = 0; i < 2; i++)
    notch_crew_free (set->crew[i]);
  scene_free (set->scene);
}

static gboolean
set_make (Set *set, const NotchBench *bench, int speed, GError **error)
{
  NotchCompute compute[2] = { bench->compute, bench->compute };
  compute[0].jobs = 1;
  set->scene = scene_new (bench, speed, error);
  gboolean well = set->scene != NULL;
  for (int i = 0; i < n_crews (bench) && well; i++) {
    set->crew[i] = notch_crew_new (&compute[i], &set->scene->size, error);
    well = set->crew[i] != NULL;
  }
  return well;
}

gboolean
notch_bench_stages (NotchBench *bench, GError **error)
{
  static const char *const step[N_SPEEDS][2] = { { "stages, one lane", "stages, all lanes" },
                                                 { "fast stages, one lane", "fast stages, all lanes" } };
  Set set[N_SPEEDS] = { 0 };
  gboolean well = TRUE;
  for (int s = 0; s < N_SPEEDS && well; s++)
    well = set_make (&set[s], bench, s, error);
  for (int round = 0; round < bench->rounds; round++) /* in turn: a machine's speed drifts */
    for (int s = 0; s < N_SPEEDS; s++)
      for (int i = 0; i < n_crews (bench) && well; i++)
        well = notch_bench_next (bench, step[s][i], error) && run_round (bench, set[s].scene, set[s].crew[i], error);
  for (int s = 0; s < N_SPEEDS; s++)
    set_clear (&set[s]);
  return well;
}
