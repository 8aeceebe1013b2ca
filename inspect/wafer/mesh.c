/* mesh.c - see mesh.h */
#include "inspect/wafer/mesh.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "inspect/wafer/median.h"

#define LEAST_PX    16     /* side of a cell */
#define LEAST_SHARE 0.125f /* of a cell's pixels: fewer tell nothing */
#define LEAST_CELLS 4      /* along a side of the image, as far as that allows */
#define ROUNDS      10     /* of clipping, at most */
#define BINS        1024   /* 1/32 sigma wide, or whole grey levels */
#define SAMPLE      128    /* values that tell where the bins lie */

/* What is left of a Gaussian's sigma within three of them. */
#define LEFT_AT_3 0.98658

/* A cell in which more is clipped has not lost a few specks but holds structure: its mean is drawn towards it. */
#define CLEAN_SHARE 0.02

/* How far the noise between neighbours may be from the noise of a cell that has no pattern. Taken two pixels apart, for a
 * camera's own sharpening or softening. */
#define APART 2
#define WHITE 1.25

/* A cell that is this many of its sigmas off what its neighbours say holds more than background. */
#define UNEVEN 0.3

/* What it takes to be called bare: cells, and the share of them that has a pattern, at most. */
#define LEAST_BARE    16
#define PATTERN_SHARE 0.05

void
notch_mesh_free (NotchMesh *mesh)
{
  if (!mesh)
    return;
  g_free (mesh->cell);
  g_free (mesh->node);
  g_free (mesh);
}

gboolean
notch_mesh_is_smooth (const NotchMesh *mesh)
{
  return (double) mesh->n_patterned <= PATTERN_SHARE * (double) mesh->n_known;
}

gboolean
notch_mesh_is_bare (const NotchMesh *mesh)
{
  return mesh->n_known >= LEAST_BARE && notch_mesh_is_smooth (mesh);
}

/* ---- one cell -------------------------------------------------------------------------------------------------- */

/* The pixels of a cell: side x side, NAN where one does not count. */
typedef struct {
  int side, n; /* n: that count */
  float *value;
  float quantum; /* the step between two values; 0: none */
} Cell;

typedef struct {
  float low, high; /* what counts */
  double median;
} Window;

static inline gboolean
counts (const Window *window, float value)
{
  return value >= window->low && value < window->high;
}

/* Where the bins of a histogram lie: around the median, wide enough for what noise and a slope spread. */
static void
place_bins (const Cell *cell, float *low, float *width)
{
  float sample[2 * SAMPLE + 2];
  int area = cell->side * cell->side, step = MAX (area / SAMPLE, 1) | 1;
  gsize n = 0;
  for (int i = 0; i < area && n < G_N_ELEMENTS (sample); i += step)
    if (!isnan (cell->value[i]))
      sample[n++] = cell->value[i];
  if (n == 0) /* the few that count were all stepped over */
    for (int i = 0; i < area && n < G_N_ELEMENTS (sample); i++)
      if (!isnan (cell->value[i]))
        sample[n++] = cell->value[i];
  float median = notch_median (sample, n);
  float spread = (notch_select (sample, n, 3 * n / 4) - notch_select (sample, n, n / 4)) / 1.349f;
  if (!(spread > 0)) /* mostly one value */
    spread =
        fmaxf ((notch_select (sample, n, n - 1) - notch_select (sample, n, 0)) / 8, fabsf (median) * 1e-6f + FLT_MIN);
  *width = cell->quantum > 0 ? cell->quantum * fmaxf (rintf (spread / 32 / cell->quantum), 1) : spread / 32;
  *low = (cell->quantum > 0 ? rintf (median) : median) - (BINS / 2 + 0.5f) * *width;
}

/* Clips at three sigmas around the median until hardly anything changes, by every `step`-th row. */
static Window
clip (const Cell *cell, int step)
{
  int count[BINS] = { 0 }, first = 0, last = BINS - 1, before = 0;
  float low, width;
  place_bins (cell, &low, &width);
  float scale = 1 / width;
  for (int y = 0; y < cell->side; y += step)
    for (int x = 0; x < cell->side; x++) {
      float bin = (cell->value[y * cell->side + x] - low) * scale;
      if (bin >= 0 && bin < BINS)
        count[(int) bin]++;
    }
  double median = 0;
  for (int round = 0; round < ROUNDS; round++) {
    double n = 0, sum = 0, sum2 = 0, below = 0;
    for (int i = first; i <= last; i++) {
      n += count[i], sum += (double) i * count[i], sum2 += (double) i * i * count[i];
    }
    int middle = first;
    while (middle < last && 2 * (below + count[middle]) < n)
      below += count[middle++];
    median = middle + 0.5 + (count[middle] > 0 ? (0.5 * n - below) / count[middle] - 0.5 : 0);
    double sigma = n > 0 ? sqrt (MAX (sum2 / n - sum / n * (sum / n), 0)) : 0;
    if (abs ((int) n - before) < 0.01 * n)
      break;
    before = (int) n;
    first = MAX (first, (int) floor (median - 3 * sigma));
    last = MIN (last, (int) floor (median + 3 * sigma));
  }
  return (Window){ low + (float) first * width, low + (float) (last + 1) * width, low + median * (double) width };
}

/* Sums over what counts of a cell; u and v run from its middle. */
typedef struct {
  double n, u, v, uu, uv, vv, z, zu, zv, zz;
} Sums;

static Sums
sum_up (const Cell *cell, const Window *window, int step)
{
  Sums s = { 0 };
  double half = 0.5 * (cell->side - 1);
  for (int y = 0; y < cell->side; y += step) {
    const float *row = cell->value + (gsize) y * (gsize) cell->side;
    double n = 0, u = 0, uu = 0, z = 0, zu = 0, v = y - half;
    for (int x = 0; x < cell->side; x++)
      if (counts (window, row[x])) {
        double at = x - half, value = (double) row[x] - window->median; /* small, so that squares lose nothing */
        n++, u += at, uu += at * at, z += value, zu += value * at, s.zz += value * value;
      }
    s.n += n, s.u += u, s.uu += uu, s.z += z, s.zu += zu;
    s.v += n * v, s.uv += u * v, s.vv += n * v * v, s.zv += z * v;
  }
  return s;
}

/* The slopes of the plane that fits best, and what it leaves of the variance. */
static double
fit_slopes (const Sums *s, double *a, double *b)
{
  double uu = s->uu - s->u * s->u / s->n, uv = s->uv - s->u * s->v / s->n, vv = s->vv - s->v * s->v / s->n;
  double zu = s->zu - s->z * s->u / s->n, zv = s->zv - s->z * s->v / s->n, zz = s->zz - s->z * s->z / s->n;
  double det = uu * vv - uv * uv;
  *a = *b = 0;
  if (det > 1e-6 * uu * vv && s->n > 16) {
    *a = (zu * vv - zv * uv) / det;
    *b = (zv * uu - zu * uv) / det;
  }
  return MAX (zz - *a * zu - *b * zv, 0) / MAX (s->n, 1);
}

/* The noise that differences of pixels in one direction show, `step` values apart; a plane does not count. */
static double
difference_noise (const Cell *cell, const Window *window, int step_x, int step_y)
{
  double sum = 0;
  int n = 0, step = step_y * cell->side + step_x;
  for (int y = 0; y + 2 * step_y < cell->side; y += 5)
    for (int x = 0; x + 2 * step_x < cell->side; x++) {
      const float *v = cell->value + (gsize) y * (gsize) cell->side + x;
      float a = v[0], b = v[step], c = v[2 * step];
      if (counts (window, a) && counts (window, b) && counts (window, c)) {
        double d = (double) (a - 2 * b + c);
        sum += d * d;
        n++;
      }
    }
  return n > 0 ? sqrt (sum / (6.0 * n)) : 0;
}

/* Measures a cell. The slope across it is taken out first: it is background, and would pass for noise. */
static void
measure (Cell *cell, NotchMeshCell *found)
{
  Window window = clip (cell, 2); /* for a first look half of them do */
  double slope_x, slope_y, a, b, half = 0.5 * (cell->side - 1);
  Sums sums = sum_up (cell, &window, 2);
  fit_slopes (&sums, &slope_x, &slope_y);
  for (int y = 0; y < cell->side; y++)
    for (int x = 0; x < cell->side; x++)
      cell->value[y * cell->side + x] -= (float) (slope_x * (x - half) + slope_y * (y - half));
  window = clip (cell, 1);
  sums = sum_up (cell, &window, 1);
  double sigma = sqrt (fit_slopes (&sums, &a, &b)), mean = sums.z / MAX (sums.n, 1);
  found->clipped = (float) (1 - sums.n / cell->n);
  found->sigma = (float) (sigma / LEFT_AT_3);
  found->u = (float) (sums.u / MAX (sums.n, 1) / cell->side);
  found->v = (float) (sums.v / MAX (sums.n, 1) / cell->side);
  found->level = (float) (window.median + mean + (slope_x * sums.u + slope_y * sums.v) / MAX (sums.n, 1));
  /* The mode of a skewed heap of values; where it is too skewed for that, its median (SExtractor's rule). */
  if (found->clipped > CLEAN_SHARE)
    found->level -= (float) (fabs (mean) > 0.3 * sigma ? mean : 2.5 * mean);
  double least = MIN (difference_noise (cell, &window, APART, 0), difference_noise (cell, &window, 0, APART));
  found->patterned = !(sigma > 0) || sigma > WHITE * least || least > WHITE * sigma || found->clipped > 2 * CLEAN_SHARE;
}

/* Fills a cell with the pixels that count. */
static void
load_cell (Cell *cell, const NotchPixels *pixels, const NotchCare *care, gint64 x0, gint64 y0)
{
  const NotchPlan *plan = care->plan;
  int w = (int) MIN (cell->side, plan->source->width - x0), h = (int) MIN (cell->side, plan->source->height - y0);
  double far_x = MAX (fabs ((double) x0 - plan->outline.x), fabs ((double) (x0 + w) - plan->outline.x));
  double far_y = MAX (fabs ((double) y0 - plan->outline.y), fabs ((double) (y0 + h) - plan->outline.y));
  gboolean ask = care->radius > 0 && hypot (far_x, far_y) > care->radius;
  g_autofree float *weight = g_new (float, w);
  cell->n = 0;
  if (w < cell->side || h < cell->side)
    for (int i = 0; i < cell->side * cell->side; i++)
      cell->value[i] = NAN;
  for (int y = 0; y < h; y++) {
    const void *row = pixels->row[y0 + y - pixels->y];
    float *to = cell->value + (gsize) y * (gsize) cell->side;
    for (int x = 0; x < w; x++)
      weight[x] = 1;
    if (plan->regions)
      notch_regions_exclude_row (plan->regions, (double) x0, (double) (y0 + y), w, weight);
    for (int x = 0; x < w; x++) {
      float value = notch_sample_at (row, pixels->sample, x0 + x);
      gboolean valid = fabsf (value) <= NOTCH_LARGEST_PIXEL && weight[x] > 0
                       && (!ask || notch_care_at (care, (double) (x0 + x), (double) (y0 + y)) > 0);
      to[x] = valid ? value : NAN;
      cell->n += valid;
    }
  }
}

/* ---- the background -------------------------------------------------------------------------------------------- */

#define REACH      2  /* cells around one that say what it should be, */
#define MOST_REACH 4  /* where an edge is near and so */
#define ENOUGH     12 /* of those within reach are not known */
#define MOST       ((2 * MOST_REACH + 1) * (2 * MOST_REACH + 1))
#define TERMS      6  /* 1, u, v, u², uv, v² */
#define PARABOLA   12 /* a parabola is fitted to no fewer cells, */
#define PLANE      6  /* nor a plane */

#define NODES_A_LOOK 4096 /* between two looks whether to go on: some milliseconds */

typedef struct {
  int n;
  double term[MOST][TERMS], value[MOST], weight[MOST];
  gboolean used[MOST];
} Fit;

/* Least squares with the first m terms; a term that the places cannot tell from those before it gets 0. */
static void
solve (const Fit *fit, int m, double c[TERMS])
{
  double matrix[TERMS][TERMS + 1] = { { 0 } }, whole[TERMS];
  for (int i = 0; i < fit->n; i++)
    for (int j = 0; j < m && fit->used[i]; j++) {
      for (int k = 0; k < m; k++)
        matrix[j][k] += fit->weight[i] * fit->term[i][j] * fit->term[i][k];
      matrix[j][m] += fit->weight[i] * fit->term[i][j] * fit->value[i];
    }
  for (int j = 0; j < m; j++)
    whole[j] = matrix[j][j];
  for (int j = 0; j < m; j++) { /* the matrix is positive: no pivoting */
    if (!(matrix[j][j] > 1e-3 * whole[j])) {
      for (int i = 0; i < m; i++)
        matrix[i][j] = 0;
      continue;
    }
    for (int i = 0; i < m; i++) {
      double factor = matrix[i][j] / matrix[j][j];
      for (int k = m; i != j && k >= j; k--)
        matrix[i][k] -= factor * matrix[j][k];
    }
  }
  for (int j = 0; j < TERMS; j++)
    c[j] = j < m && matrix[j][j] > 0 ? matrix[j][m] / matrix[j][j] : 0;
}

/* A parabola through the cells around one, else a plane, else their mean; cells that are far off the others are dropped,
 * for a stain must not be taken for background. `least` is how sure a cell's level is. */
static double
fit_robustly (Fit *fit, double least, int most_terms)
{
  double c[TERMS] = { 0 };
  int used = fit->n;
  for (int round = 0; round < 4; round++) {
    float left[MOST], sorted[MOST];
    solve (fit, MIN (used >= PARABOLA ? 6 : used >= PLANE ? 3 : 1, most_terms), c);
    for (int i = 0; i < fit->n; i++) {
      double r = fit->value[i];
      for (int j = 0; j < TERMS; j++)
        r -= c[j] * fit->term[i][j];
      left[i] = sorted[i] = (float) (fabs (r) * sqrt (fit->weight[i]));
    }
    float cut = fmaxf (3 * 1.4826f * notch_median (sorted, (gsize) fit->n), (float) (3 * least));
    used = 0;
    for (int i = 0; i < fit->n; i++)
      used += fit->used[i] = left[i] <= cut;
  }
  /* A cell's level is its mean; that of a parabola is off its middle by a twelfth of the bend. */
  return c[0] - (c[3] + c[5]) / 12;
}

/* Whether a node can tell its neighbours something, or only will when this ring is done. */
enum { UNKNOWN, KNOWN, NEW };

/* A level, where it was measured, in cells off the node, and on which share of a cell. */
typedef struct {
  float level, u, v, weight;
} Told;

/* The cells around (col, row) of the nodes' grid that are known: `reach` cells around it, further where those are few. */
static void
gather (const NotchMesh *mesh, const guint8 *known, const Told *told, gint64 at, Fit *fit)
{
  gint64 w = mesh->n_cols + 2 * NOTCH_MESH_MARGIN, h = mesh->n_rows + 2 * NOTCH_MESH_MARGIN, col = at % w, row = at / w;
  fit->n = 0;
  for (int reach = REACH; reach <= MOST_REACH && fit->n < ENOUGH; reach++) {
    fit->n = 0;
    for (gint64 y = MAX (row - reach, 0); y <= MIN (row + reach, h - 1); y++)
      for (gint64 x = MAX (col - reach, 0); x <= MIN (col + reach, w - 1); x++) {
        const Told *one = &told[y * w + x];
        double u = (double) (x - col) + (double) one->u, v = (double) (y - row) + (double) one->v;
        if (known[y * w + x] != KNOWN)
          continue;
        const double term[TERMS] = { 1, u, v, u * u, u * v, v * v };
        memcpy (fit->term[fit->n], term, sizeof term);
        fit->value[fit->n] = (double) one->level;
        fit->weight[fit->n] = (double) one->weight;
        fit->used[fit->n++] = TRUE;
      }
  }
}

static gboolean
no_memory (const NotchMesh *mesh, GError **error)
{
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
               "there is no memory for a mesh of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
               " cells; give a larger [reference] mesh_px",
               mesh->n_cols, mesh->n_rows);
  return FALSE;
}

/* From levels to nodes: what is known is smoothed, and what is beside it goes on as its neighbours do; further out, ring by
 * ring, only to keep what is interpolated inside free of steps. The store's owner may end it. */
static gboolean
fill_nodes (NotchMesh *mesh, NotchStore *store, GError **error)
{
  gint64 w = mesh->n_cols + 2 * NOTCH_MESH_MARGIN, h = mesh->n_rows + 2 * NOTCH_MESH_MARGIN, n = w * h;
  g_autofree Told *told = g_try_new0 (Told, n);
  g_autofree guint8 *known = g_try_malloc0 ((gsize) n);
  double sum = 0, noise = 0;
  Fit fit;
  if (!told || !known)
    return no_memory (mesh, error);
  for (gint64 row = 0; row < mesh->n_rows; row++)
    for (gint64 col = 0; col < mesh->n_cols; col++) {
      const NotchMeshCell *cell = &mesh->cell[row * mesh->n_cols + col];
      gint64 at = (row + NOTCH_MESH_MARGIN) * w + col + NOTCH_MESH_MARGIN;
      if (isnan (cell->level))
        continue;
      known[at] = KNOWN;
      told[at] = (Told){ cell->level, cell->u, cell->v, cell->share };
      sum += (double) cell->level, noise += (double) cell->sigma;
    }
  sum /= (double) MAX (mesh->n_known, 1), noise /= (double) MAX (mesh->n_known, 1);
  for (int ring = 0; ring < 2 * NOTCH_MESH_MARGIN; ring++) {
    for (gint64 i = 0; i < n; i++) {
      if (i % NODES_A_LOOK == 0 && !notch_store_go_on (store, error))
        return FALSE;
      if (known[i] && ring > 0)
        continue;
      gather (mesh, known, told, i, &fit);
      if (fit.n == 0)
        continue;
      mesh->node[i] = (float) fit_robustly (&fit, noise / mesh->px, ring == 0 ? 6 : 3);
      known[i] = known[i] ? KNOWN : NEW;
    }
    for (gint64 i = 0; i < n; i++) {
      gint64 row = i / w - NOTCH_MESH_MARGIN, col = i % w - NOTCH_MESH_MARGIN;
      if (known[i] == KNOWN && ring == 0) {
        NotchMeshCell *cell = &mesh->cell[row * mesh->n_cols + col];
        double off = fabs ((double) mesh->node[i] - (double) cell->level);
        gboolean whole = hypotf (cell->u, cell->v) < 0.05f; /* else its level is not that of its middle */
        cell->patterned |= whole && cell->clipped <= 2 * CLEAN_SHARE && off > UNEVEN * (double) cell->sigma;
        mesh->n_patterned += cell->patterned;
      }
      known[i] = known[i] ? KNOWN : UNKNOWN;
      told[i] = (Told){ mesh->node[i], 0, 0, 1 };
    }
  }
  for (gint64 i = 0; i < n; i++)
    if (!known[i])
      mesh->node[i] = (float) sum;
  return TRUE;
}

/* ---- the mesh -------------------------------------------------------------------------------------------------- */

NotchMesh *
notch_mesh_new (const NotchPlan *plan, int px, GError **error)
{
  const NotchSource *source = plan->source;
  NotchCare care = notch_care_new (plan);
  care.regions = NULL; /* what lies outside care areas is background as well, but for what is excluded */
  g_autoptr (NotchMesh) mesh = g_new0 (NotchMesh, 1);
  mesh->px = (int) CLAMP (MIN (source->width, source->height) / LEAST_CELLS, LEAST_PX, px);
  mesh->n_cols = (source->width - 1) / mesh->px + 1;
  mesh->n_rows = (source->height - 1) / mesh->px + 1;
  gsize nodes = (gsize) (mesh->n_cols + 2 * NOTCH_MESH_MARGIN) * (gsize) (mesh->n_rows + 2 * NOTCH_MESH_MARGIN);
  mesh->cell = g_try_new (NotchMeshCell, (gsize) mesh->n_cols * (gsize) mesh->n_rows);
  mesh->node = g_try_new0 (float, nodes);
  g_autofree float *value = g_new (float, (gsize) mesh->px *(gsize) mesh->px);
  Cell cell = { mesh->px, 0, value, source->sample == NOTCH_SAMPLE_F32 ? 0 : 1 };
  for (gint64 row = 0; row < mesh->n_rows && mesh->cell && mesh->node; row++) {
    NotchRows rows = { row * mesh->px, MIN (mesh->px, source->height - row * mesh->px) };
    g_autoptr (NotchStrip) strip = notch_store_strip (plan->store, &rows, 1, error);
    if (!strip)
      return NULL;
    for (gint64 col = 0; col < mesh->n_cols; col++) {
      NotchMeshCell *found = &mesh->cell[row * mesh->n_cols + col];
      *found = (NotchMeshCell){ .level = NAN, .sigma = NAN, .clipped = NAN };
      load_cell (&cell, notch_strip_pixels (strip), &care, col * mesh->px, row * mesh->px);
      found->share = (float) cell.n / ((float) mesh->px * (float) mesh->px);
      if (found->share < LEAST_SHARE)
        continue;
      measure (&cell, found);
      mesh->n_known++;
      mesh->n_crowded += found->clipped > NOTCH_MESH_CROWDED;
    }
  }
  if (!mesh->cell || !mesh->node) {
    no_memory (mesh, error);
    return NULL;
  }
  if (!fill_nodes (mesh, plan->store, error))
    return NULL;
  return g_steal_pointer (&mesh);
}

/* Weights of the four nodes around a place `t` behind the second. */
static void
cubic (double t, double weight[4])
{
  weight[0] = t * (-0.5 + t * (1 - 0.5 * t));
  weight[1] = 1 + t * t * (-2.5 + 1.5 * t);
  weight[2] = t * (0.5 + t * (2 - 1.5 * t));
  weight[3] = t * t * (-0.5 + 0.5 * t);
}

void
notch_mesh_row (const NotchMesh *mesh, double x, double y, double step, gint64 n, float *to)
{
  gint64 w = mesh->n_cols + 2 * NOTCH_MESH_MARGIN, h = mesh->n_rows + 2 * NOTCH_MESH_MARGIN;
  double down[4], along[4], top = CLAMP (y + NOTCH_MESH_MARGIN, 1, (double) (h - 3));
  gint64 row = (gint64) floor (top);
  cubic (top - (double) row, down);
  for (gint64 i = 0; i < n; i++) {
    double left = CLAMP (x + (double) i * step + NOTCH_MESH_MARGIN, 1, (double) (w - 3)), sum = 0;
    gint64 col = (gint64) floor (left);
    cubic (left - (double) col, along);
    for (int k = 0; k < 4; k++) {
      const float *node = mesh->node + (row + k - 1) * w + col - 1;
      sum += down[k]
             * (along[0] * (double) node[0] + along[1] * (double) node[1] + along[2] * (double) node[2]
                + along[3] * (double) node[3]);
    }
    to[i] = (float) sum;
  }
}
