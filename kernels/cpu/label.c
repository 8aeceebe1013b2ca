/* label.c - connected components by runs of masked pixels, and crops around them: label, patch */
#include "kernels/cpu/lane.h"
#include "kernels/math/blob.h"
#include "kernels/math/score.h"
#include "kernels/math/skirt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

NOTCH_CLONES static void
mask_row (const float *score, const float *fine, float seed, float grow, int n, uint8_t *mask)
{
  for (int i = 0; i < n; i++)
    mask[i] = notch_mask_of (score[i], fine[i], seed, grow);
}

static int32_t
root_of (NotchRun *run, int32_t i)
{
  while (run[i].parent != i) {
    run[i].parent = run[run[i].parent].parent;
    i = run[i].parent;
  }
  return i;
}

static void
unite (NotchRun *run, int32_t a, int32_t b)
{
  a = root_of (run, a), b = root_of (run, b);
  if (a < b)
    run[b].parent = a;
  else
    run[a].parent = b;
}

/* Appends the runs of a row; gaps of less than `reach` pixels do not part a run's component. */
static int32_t
find_runs (NotchLane *lane, const uint8_t *mask, int y, int reach, int32_t n_runs)
{
  const NotchTile *tile = lane->tile;
  int x = tile->core_x, end = tile->core_x + tile->core_w;
  int32_t first = n_runs;
  while (x < end) {
    if (!mask[x]) { /* most of a tile is empty: eight pixels at once */
      uint64_t eight;
      while (x + 8 <= end && (memcpy (&eight, mask + x, 8), eight == 0))
        x += 8;
      while (x < end && !mask[x])
        x++;
      if (x == end)
        break;
    }
    NotchRun *run = &lane->run[n_runs];
    *run = (NotchRun){ y, x, x, n_runs };
    while (x < end && mask[x])
      run->x1 = x++;
    if (n_runs > first && run->x0 - run[-1].x1 <= reach)
      unite (lane->run, n_runs - 1, n_runs);
    n_runs++;
  }
  return n_runs;
}

/* Unites the runs of two rows that come within reach of each other; both lists are in order. */
static void
unite_rows (NotchRun *run, int32_t a, int32_t a_end, int32_t b, int32_t b_end, int reach)
{
  while (a < a_end && b < b_end) {
    if (run[a].x0 - reach <= run[b].x1 && run[b].x0 - reach <= run[a].x1)
      unite (run, a, b);
    if (run[a].x1 < run[b].x1)
      a++;
    else
      b++;
  }
}

/* Which roots are worth a blob: those with a seed, and those that a seed beyond the seam may claim. */
static void
choose_blobs (NotchLane *lane, const uint8_t *mask, int32_t n_runs, int reach)
{
  const NotchTile *tile = lane->tile;
  memset (lane->run_blob, 0, sizeof *lane->run_blob * (size_t) n_runs);
  for (int32_t i = 0; i < n_runs; i++) {
    const NotchRun *run = &lane->run[i];
    bool keep =
        notch_mask_near_seam (tile, run->x0, run->y, reach) || notch_mask_near_seam (tile, run->x1, run->y, reach);
    const uint8_t *row = mask + (ptrdiff_t) run->y * lane->is.size;
    for (int x = run->x0; !keep && x <= run->x1; x++)
      keep = row[x] == NOTCH_MASK_SEED;
    if (keep)
      lane->run_blob[root_of (lane->run, i)] = 1;
  }
  int n = 0;
  for (int32_t i = 0; i < n_runs; i++)
    if (lane->run[i].parent == i)
      n += lane->run_blob[i];
  lane->swamped = n > lane->is.max_blobs;
  lane->n_blobs = 0;
  for (int32_t i = 0; i < n_runs; i++) { /* a root comes before its members: its number is known when they ask */
    int32_t root = root_of (lane->run, i);
    if (root != i)
      lane->run_blob[i] = lane->run_blob[root];
    else if (!lane->run_blob[i])
      lane->run_blob[i] = -1;
    else if (lane->swamped)
      lane->run_blob[i] = 0, lane->n_blobs = 1;
    else
      lane->run_blob[i] = lane->n_blobs++;
  }
}

/* Finds the blob's peak among the run's pixels. */
static void
find_peak (const NotchLane *lane, const NotchRun *run, NotchBlob *blob)
{
  const float *score = lane->plane[NOTCH_PLANE_SCORE] + (ptrdiff_t) run->y * lane->is.size;
  for (int x = run->x0; x <= run->x1; x++)
    notch_blob_peak (blob, x, run->y, score[x], notch_score_channel (score[x]), notch_score_dark (score[x]));
}

NOTCH_CLONES static void
place_blob (const NotchLane *lane, NotchBlob *blob)
{
  if (blob->n_seed > 0 && blob->peak_channel < lane->is.n_channels
      && lane->is.channel[blob->peak_channel].kind == NOTCH_CHANNEL_BLOB)
    notch_blob_place (blob, lane->plane[NOTCH_PLANE_Z], lane->is.size, lane->is.channel[blob->peak_channel].sigma);
}

NOTCH_CLONES static void
measure_run (const NotchLane *lane, const NotchRun *run, NotchBlob *blob, const uint8_t *mask)
{
  int size = lane->is.size;
  const NotchBlobPlanes planes = { lane->plane[NOTCH_PLANE_FINE], lane->plane[NOTCH_PLANE_RES],
                                   lane->plane[NOTCH_PLANE_REF], lane->plane[NOTCH_PLANE_Z] };
  for (int x = run->x0; x <= run->x1; x++)
    notch_blob_measure (blob, &planes, size, x, run->y, mask[(ptrdiff_t) run->y * size + x] == NOTCH_MASK_SEED);
}

/* Connects the mask: runs of every row, united with those of the rows above; how many there are. */
static int32_t
find_components (NotchLane *lane, const uint8_t *mask, int reach)
{
  const NotchTile *tile = lane->tile;
  int32_t n_runs = 0;
  for (int y = tile->core_y; y < tile->core_y + tile->core_h; y++) {
    lane->row_start[y] = n_runs;
    n_runs = find_runs (lane, mask + (ptrdiff_t) y * lane->is.size, y, reach, n_runs);
    lane->row_start[y + 1] = n_runs;
    for (int up = 1; up <= reach && y - up >= tile->core_y; up++)
      unite_rows (lane->run, lane->row_start[y - up], lane->row_start[y - up + 1], lane->row_start[y], n_runs, reach);
  }
  choose_blobs (lane, mask, n_runs, reach);
  for (int b = 0; b < lane->n_blobs; b++)
    notch_blob_clear (&lane->blob[b]);
  for (int32_t i = 0; i < n_runs; i++)
    if (lane->run_blob[i] >= 0)
      find_peak (lane, &lane->run[i], &lane->blob[lane->run_blob[i]]);
  return n_runs;
}

static void
note_seams (NotchLane *lane, int32_t n_runs, int reach)
{
  lane->n_seams = 0;
  for (int32_t i = 0; i < n_runs; i++)
    for (int x = lane->run[i].x0; lane->run_blob[i] >= 0 && x <= lane->run[i].x1; x++)
      if (notch_mask_near_seam (lane->tile, x, lane->run[i].y, reach) && lane->n_seams < lane->max_seams)
        lane->seam[lane->n_seams++] = (NotchSeam){ x, lane->run[i].y, lane->run_blob[i] };
}

/* The blob that a pixel is part of; -1: none. */
static int32_t
blob_at (const NotchLane *lane, int x, int y)
{
  for (int32_t i = lane->row_start[y]; i < lane->row_start[y + 1] && lane->run[i].x0 <= x; i++)
    if (x <= lane->run[i].x1)
      return lane->run_blob[i];
  return -1;
}

/* ---- skirts -------------------------------------------------------------------------------------------------------- */

/* Lists the peaks of all seeds; false: there are too many. */
NOTCH_CLONES static bool
find_peaks (NotchLane *lane, const uint8_t *mask, int32_t n_runs)
{
  int size = lane->is.size, squares = notch_peak_squares (size);
  for (int i = 0; i < squares * squares; i++)
    lane->peak_square[i] = -1;
  lane->n_peaks = 0;
  for (int32_t i = 0; i < n_runs; i++)
    for (int x = lane->run[i].x0; x <= lane->run[i].x1; x++) {
      int y = lane->run[i].y;
      ptrdiff_t at = (ptrdiff_t) y * size + x;
      float score = lane->plane[NOTCH_PLANE_SCORE][at];
      if (mask[at] != NOTCH_MASK_SEED || notch_score_channel (score) >= lane->is.n_channels
          || !notch_peak_is (lane->plane[NOTCH_PLANE_SCORE], mask, lane->tile, size, x, y))
        continue;
      if (lane->n_peaks == NOTCH_MAX_PEAKS)
        return false;
      int32_t *last = &lane->peak_square[y / NOTCH_PEAK_SQUARE * squares + x / NOTCH_PEAK_SQUARE];
      lane->peak[lane->n_peaks] = (NotchPeak){ x, y, *last, score };
      *last = lane->n_peaks++;
    }
  return true;
}

/* Takes the skirts around the peaks out of the mask, but for what the finest filter sees: that may be part of a defect, and
 * is none by itself. Returns whether anything changed. */
NOTCH_CLONES static bool
cut_skirts (NotchLane *lane, uint8_t *mask, int32_t n_runs, float grow)
{
  bool cut = false;
  const NotchPeaks peaks = { lane->peak, lane->peak_square, notch_peak_squares (lane->is.size), lane->template_,
                             lane->is.n_channels };
  for (int32_t i = 0; i < n_runs; i++)
    for (int x = lane->run[i].x0; x <= lane->run[i].x1; x++) {
      int y = lane->run[i].y;
      ptrdiff_t at = (ptrdiff_t) y * lane->is.size + x;
      uint8_t left = mask[at];
      if (lane->run_blob[i] < 0)
        left = NOTCH_MASK_OUT;
      else if (left == NOTCH_MASK_SEED && notch_peak_explains (&peaks, x, y, lane->plane[NOTCH_PLANE_SCORE][at]))
        left = fabsf (lane->plane[NOTCH_PLANE_FINE][at]) >= grow;
      cut |= left != mask[at];
      mask[at] = left;
    }
  return cut;
}

/* Connects what is left of the mask anew: two strong points are not one defect because a wide filter sees them both. At a
 * seam the tile beyond may hold nothing but a skirt; it stays tied to the blob that has its peak. */
static int32_t
part_blobs (NotchLane *lane, uint8_t *mask, int32_t n_runs, const NotchLabel *a)
{
  int size = lane->is.size, kept = 0;
  if (lane->swamped || !find_peaks (lane, mask, n_runs) || !cut_skirts (lane, mask, n_runs, a->grow))
    return n_runs;
  for (int b = 0; b < lane->n_blobs; b++)
    lane->blob_peak[b] = lane->blob[b].peak_y * size + lane->blob[b].peak_x;
  n_runs = find_components (lane, mask, a->reach);
  for (int i = 0; i < lane->n_seams; i++) {
    NotchSeam seam = lane->seam[i];
    int32_t peak = lane->blob_peak[seam.blob];
    seam.blob = blob_at (lane, seam.x, seam.y);
    if (seam.blob < 0)
      seam.blob = blob_at (lane, peak % size, peak / size);
    if (seam.blob >= 0)
      lane->seam[kept++] = seam;
  }
  lane->n_seams = kept;
  return n_runs;
}

/* Core pixels that could be judged if they and their sources were numbers. */
static int64_t
count_lost (const NotchLane *lane)
{
  const NotchTile *tile = lane->tile;
  int64_t n = 0;
  for (int y = tile->core_y; y < tile->core_y + tile->core_h; y++)
    for (int x = tile->core_x; x < tile->core_x + tile->core_w; x++) {
      ptrdiff_t at = (ptrdiff_t) y * lane->is.size + x;
      n += (lane->known[at] & NOTCH_KNOWN_COVERED) && (lane->known[at] & ~NOTCH_KNOWN_COVERED)
           && (!tile->weight || tile->weight[at] > 0);
    }
  return n;
}

int
notch_cpu_label (NotchLane *lane, const NotchLabel *a)
{
  const NotchTile *tile = lane->tile;
  int size = lane->is.size, y1 = tile->core_y + tile->core_h;
  uint8_t *mask = (uint8_t *) lane->response; /* size x size bytes of it */
  for (int y = tile->core_y; y < y1; y++) {
    ptrdiff_t at = (ptrdiff_t) y * size;
    mask_row (lane->plane[NOTCH_PLANE_SCORE] + at, lane->plane[NOTCH_PLANE_FINE] + at, a->seed, a->grow, size,
              mask + at);
  }
  int32_t n_runs = find_components (lane, mask, a->reach);
  note_seams (lane, n_runs, a->reach);
  n_runs = part_blobs (lane, mask, n_runs, a);
  for (int32_t i = 0; i < n_runs; i++)
    if (lane->run_blob[i] >= 0)
      measure_run (lane, &lane->run[i], &lane->blob[lane->run_blob[i]], mask);
  for (int b = 0; b < lane->n_blobs; b++)
    place_blob (lane, &lane->blob[b]);
  lane->n_inspected = lane->all_judged ? (int64_t) tile->core_w * tile->core_h : 0;
  for (int y = tile->core_y; y < y1 && !lane->all_judged; y++)
    for (int x = tile->core_x; x < tile->core_x + tile->core_w; x++)
      lane->n_inspected += lane->judged[(ptrdiff_t) y * size + x];
  lane->n_lost = lane->any_lost ? count_lost (lane) : 0;
  return 0;
}

/* ---- patch ----------------------------------------------------------------------------------------------------- */

/* Where a patch has no pixel of the image, and no reference, it has no number. */
static void
blank_patch (const NotchLane *lane, int x, int y, int side, float *patch)
{
  const NotchTile *tile = lane->tile;
  const uint8_t *known = lane->known;
  for (int row = 0; row < side; row++)
    for (int col = 0; col < side; col++) {
      int tx = x + col, ty = y + row;
      bool inside = tx >= tile->inside_x && tx < tile->inside_x + tile->inside_w && ty >= tile->inside_y
                    && ty < tile->inside_y + tile->inside_h;
      ptrdiff_t at = (ptrdiff_t) row * side + col;
      if (!inside || (known[(ptrdiff_t) ty * lane->is.size + tx] & NOTCH_KNOWN_TEST_LOST))
        patch[at] = NAN;
      if (!inside
          || (known[(ptrdiff_t) ty * lane->is.size + tx] | NOTCH_KNOWN_TEST_LOST)
                 != (NOTCH_KNOWN_COVERED | NOTCH_KNOWN_TEST_LOST))
        patch[(ptrdiff_t) side * side + at] = NAN;
    }
}

int
notch_cpu_patch (NotchLane *lane, const NotchPatch *a)
{
  int size = lane->is.size, side = a->side,
      most = a->per_tile < lane->is.max_patches ? a->per_tile : lane->is.max_patches;
  if (side > lane->is.patch_side || side > size)
    return notch_cpu_fail (lane, "crops of %d pixels do not fit", side);
  lane->n_patches = 0;
  for (int b = 0; b < lane->n_blobs; b++) { /* insertion into a short list, strongest first */
    if (lane->blob[b].n_seed == 0)
      continue;
    int i = lane->n_patches < most ? lane->n_patches++ : most;
    while (i > 0 && notch_blob_stronger (&lane->blob[b], &lane->blob[lane->patch_blob[i - 1]])) {
      if (i < most)
        lane->patch_blob[i] = lane->patch_blob[i - 1];
      i--;
    }
    if (i < most)
      lane->patch_blob[i] = b;
  }
  for (int i = 0; i < lane->n_patches; i++) {
    const NotchBlob *blob = &lane->blob[lane->patch_blob[i]];
    int x = notch_blob_crop (blob, blob->wx, blob->x, side, size);
    int y = notch_blob_crop (blob, blob->wy, blob->y, side, size);
    float *to = lane->patch + 2 * (ptrdiff_t) i * side * side;
    for (int row = 0; row < side; row++) {
      ptrdiff_t at = (ptrdiff_t) (y + row) * size + x;
      memcpy (to + (ptrdiff_t) row * side, lane->plane[NOTCH_PLANE_TEST] + at, sizeof (float) * (size_t) side);
      memcpy (to + (ptrdiff_t) (side + row) * side, lane->plane[NOTCH_PLANE_REF] + at, sizeof (float) * (size_t) side);
    }
    blank_patch (lane, x, y, side, to);
  }
  return 0;
}
