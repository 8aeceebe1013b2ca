/* signature.c - see signature.h */
#include "inspect/sign/signature.h"

#include <math.h>
#include <string.h>

#define SIDE  NOTCH_RASTER_SIDE
#define CELLS NOTCH_RASTER_CELLS

#define N_RINGS      8
#define N_SECTORS    24 /* a multiple of 4, so that quarter turns and mirrors permute sectors */
#define N_HARMONICS  5
#define N_ANNULI     3
#define N_OFFSETS    8
#define N_DIRECTIONS 24 /* of half a turn; even, so that right angles and mirrors permute them */
#define N_SCALES     3
#define N_LENGTHS    3
#define LONGEST      15
#define MARGIN       (LONGEST / 2 + 3) /* what a line from a cell reaches, and one two cells beside it */
#define STRIDE       (SIDE + 2 * MARGIN)
#define SAME         1e-9 /* what differs less differs by rounding */

/* A raster with what several features need. */
typedef struct {
  const NotchRaster *raster;
  double x[CELLS], y[CELLS], radius[CELLS]; /* of the wafer's radius 1, from its centre */
  double area;                              /* sum of what is present, cells */
  double density;                           /* of failed dice */
  double background;                        /* the same away from what stands out */
  double smooth[N_SCALES][CELLS];           /* density around a cell */
  double excess[N_SCALES][CELLS];           /* above the background, in sigmas of dice that fail by chance */
  double present[STRIDE * STRIDE];          /* the raster with a margin without dice, where lines end */
  double fail[STRIDE * STRIDE];
} Map;

static const double ring_edge[N_RINGS + 1] = { 0, 0.2, 0.35, 0.5, 0.65, 0.77, 0.86, 0.94, 2 };
static const double annulus_edge[N_ANNULI + 1] = { 0, 0.5, 0.85, 2 };
static const double scale_cells[N_SCALES] = { 0.8, 1.5, 3 };
static const int line_cells[N_LENGTHS] = { 7, 11, LONGEST };

static int
band_of (const double *edge, int n, double radius)
{
  int band = 0;
  while (band < n - 1 && radius >= edge[band + 1])
    band++;
  return band;
}

/* Sectors begin between the angles that cells can lie at: at 7.5 degrees and every 15 degrees from there. */
static int
sector_of (const Map *map, int cell)
{
  double turn = atan2 (map->y[cell], map->x[cell]) / (2 * G_PI) * N_SECTORS + 0.5;
  return ((int) floor (turn) + N_SECTORS) % N_SECTORS;
}

static int
compare (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* Gaussian of `sigma` cells, over what is present. */
static void
smooth (const NotchRaster *raster, double sigma, double background, double *density, double *excess)
{
  const int reach = (int) ceil (3 * sigma);
  double part[SIDE];
  for (int d = 0; d <= reach; d++)
    part[d] = exp (-d * d / (2 * sigma * sigma));
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++) {
      double sum = 0, weight = 0, squares = 0;
      for (int v = MAX (y - reach, 0); v <= MIN (y + reach, SIDE - 1); v++)
        for (int u = MAX (x - reach, 0); u <= MIN (x + reach, SIDE - 1); u++) {
          double k = part[ABS (u - x)] * part[ABS (v - y)];
          double w = k * (double) raster->present[v * SIDE + u];
          weight += w;
          squares += w * k;
          sum += w * (double) raster->fail[v * SIDE + u];
        }
      int cell = y * SIDE + x;
      gboolean here = raster->present[cell] > 0;
      density[cell] = here ? sum / weight : 0;
      if (excess)
        excess[cell] = here ? (sum - background * weight) / sqrt (background * (1 - background) * squares) : 0;
    }
}

/* The place of a cell in a raster with a margin. */
static int
in_margin (int x, int y)
{
  return (y + MARGIN) * STRIDE + x + MARGIN;
}

static void
prepare (Map *map, const NotchRaster *raster)
{
  memset (map, 0, sizeof *map);
  map->raster = raster;
  double fails = 0;
  for (int i = 0; i < CELLS; i++) {
    map->x[i] = (i % SIDE + 0.5) * 2 / SIDE - 1;
    map->y[i] = (i / SIDE + 0.5) * 2 / SIDE - 1;
    map->radius[i] = hypot (map->x[i], map->y[i]);
    map->area += (double) raster->present[i];
    map->present[in_margin (i % SIDE, i / SIDE)] = (double) raster->present[i];
    map->fail[in_margin (i % SIDE, i / SIDE)] = (double) raster->fail[i];
    fails += (double) (raster->present[i] * raster->fail[i]);
  }
  map->density = map->area > 0 ? fails / map->area : 0;
  /* the median of what a window of about 25 dice sees; half a die more and less than none and all */
  double sorted[CELLS];
  int n = 0;
  smooth (raster, 2, 0, map->smooth[0], NULL);
  for (int i = 0; i < CELLS; i++)
    if (raster->present[i] > 0)
      sorted[n++] = map->smooth[0][i];
  qsort (sorted, (gsize) n, sizeof *sorted, compare);
  double least = 0.5 / MAX (map->area, 1);
  map->background = n ? CLAMP (sorted[n / 2], least, 1 - least) : least;
  for (int i = 0; i < N_SCALES; i++)
    smooth (raster, scale_cells[i], map->background, map->smooth[i], map->excess[i]);
}

/* ---- zones ----------------------------------------------------------------------------------------------------- */

static void
measure_density (const Map *map, double *to)
{
  to[0] = map->density;
  to[1] = map->background;
}

static void
measure_rings (const Map *map, double *to)
{
  double area[N_RINGS] = { 0 }, fails[N_RINGS] = { 0 };
  for (int i = 0; i < CELLS; i++) {
    int ring = band_of (ring_edge, N_RINGS, map->radius[i]);
    area[ring] += (double) map->raster->present[i];
    fails[ring] += (double) (map->raster->present[i] * map->raster->fail[i]);
  }
  for (int i = 0; i < N_RINGS; i++)
    to[i] = area[i] > 0 ? fails[i] / area[i] : map->density;
}

/* |sum f e^{i m phi}| / sum 1 of three annuli: turning a map changes the phases only. */
static void
measure_harmonics (const Map *map, double *to)
{
  double area[N_ANNULI] = { 0 }, re[N_ANNULI][N_HARMONICS] = { 0 }, im[N_ANNULI][N_HARMONICS] = { 0 };
  for (int i = 0; i < CELLS; i++) {
    int annulus = band_of (annulus_edge, N_ANNULI, map->radius[i]);
    double present = (double) map->raster->present[i], excess = (double) map->raster->fail[i] - map->density;
    double phi = atan2 (map->y[i], map->x[i]);
    area[annulus] += present;
    for (int m = 0; m < N_HARMONICS; m++) {
      re[annulus][m] += present * excess * cos ((m + 1) * phi);
      im[annulus][m] += present * excess * sin ((m + 1) * phi);
    }
  }
  for (int a = 0; a < N_ANNULI; a++)
    for (int m = 0; m < N_HARMONICS; m++)
      to[a * N_HARMONICS + m] = area[a] > 0 ? hypot (re[a][m], im[a][m]) / area[a] : 0;
}

/* Of the two outermost rings, in sectors: how full they are, and how long an arc of them stands out. */
static void
measure_edge (const Map *map, double *to)
{
  static const double inner[2] = { 0.88, 0.75 };
  for (int k = 0; k < 2; k++) {
    double area[N_SECTORS] = { 0 }, fails[N_SECTORS] = { 0 }, density[N_SECTORS], sorted[N_SECTORS];
    for (int i = 0; i < CELLS; i++) {
      if (map->radius[i] < inner[k])
        continue;
      int sector = sector_of (map, i);
      area[sector] += (double) map->raster->present[i];
      fails[sector] += (double) (map->raster->present[i] * map->raster->fail[i]);
    }
    for (int s = 0; s < N_SECTORS; s++) {
      int a = (s + N_SECTORS - 1) % N_SECTORS, b = (s + 1) % N_SECTORS;
      double around = area[a] / 2 + area[s] + area[b] / 2;
      density[s] = around > 0 ? (fails[a] / 2 + fails[s] + fails[b] / 2) / around : map->density;
    }
    memcpy (sorted, density, sizeof sorted);
    qsort (sorted, N_SECTORS, sizeof *sorted, compare);
    int run = 0, longest = 0, above = 0;
    double limit = map->background + 0.4 * (1 - map->background);
    for (int s = 0; s < 2 * N_SECTORS; s++) {
      run = density[s % N_SECTORS] > limit ? run + 1 : 0;
      longest = MAX (longest, MIN (run, N_SECTORS));
      above += s < N_SECTORS && run > 0;
    }
    double *one = to + k * 6;
    one[0] = sorted[0];
    one[1] = sorted[N_SECTORS / 4];
    one[2] = sorted[N_SECTORS / 2];
    one[3] = sorted[N_SECTORS - 1];
    one[4] = longest;
    one[5] = above;
  }
}

/* ---- projections ----------------------------------------------------------------------------------------------- */

/* Density along parallel chords in all directions: for each distance from the centre the mean, the scatter and the most over
 * the directions (Wu 2015 has the first two). */
static void
measure_projections (const Map *map, double *to)
{
  double sum[N_OFFSETS] = { 0 }, squares[N_OFFSETS] = { 0 }, most[N_OFFSETS] = { 0 };
  int n[N_OFFSETS] = { 0 };
  for (int d = 0; d < N_DIRECTIONS; d++) {
    double area[2 * N_OFFSETS] = { 0 }, fails[2 * N_OFFSETS] = { 0 };
    double c = cos (d * G_PI / N_DIRECTIONS), s = sin (d * G_PI / N_DIRECTIONS);
    for (int i = 0; i < CELLS; i++) {
      /* shared between the two nearest chords */
      double at = (c * map->x[i] + s * map->y[i] + 1) * N_OFFSETS - 0.5;
      int low = (int) floor (at);
      for (int k = 0; k < 2; k++) {
        int chord = CLAMP (low + k, 0, 2 * N_OFFSETS - 1);
        double part = (k ? at - low : 1 - at + low) * (double) map->raster->present[i];
        area[chord] += part;
        fails[chord] += part * (double) map->raster->fail[i];
      }
    }
    for (int o = 0; o < 2 * N_OFFSETS; o++) {
      int distance = o < N_OFFSETS ? N_OFFSETS - 1 - o : o - N_OFFSETS;
      double density = area[o] > 0 ? fails[o] / area[o] : map->density;
      sum[distance] += density;
      squares[distance] += density * density;
      most[distance] = MAX (most[distance], density);
      n[distance]++;
    }
  }
  for (int o = 0; o < N_OFFSETS; o++) {
    double mean = sum[o] / n[o];
    to[o] = mean;
    to[N_OFFSETS + o] = sqrt (MAX (squares[o] / n[o] - mean * mean, 0));
    to[2 * N_OFFSETS + o] = most[o];
  }
}

/* ---- blobs ----------------------------------------------------------------------------------------------------- */

static void
measure_blobs (const Map *map, double *to)
{
  for (int s = 0; s < N_SCALES; s++) {
    double most[N_ANNULI] = { -9, -9, -9 }, dense[N_ANNULI] = { 0 }, best = -9, where = 0, least = 1;
    for (int i = 0; i < CELLS; i++) {
      if (map->raster->present[i] <= 0)
        continue;
      int annulus = band_of (annulus_edge, N_ANNULI, map->radius[i]);
      most[annulus] = MAX (most[annulus], map->excess[s][i]);
      dense[annulus] = MAX (dense[annulus], map->smooth[s][i]);
      least = MIN (least, map->smooth[s][i]);
      /* of places that are as good as each other the one nearest to the centre */
      double more = map->excess[s][i] - best;
      if (more > SAME || (more > -SAME && map->radius[i] < where))
        best = map->excess[s][i], where = map->radius[i];
    }
    double *one = to + s * 8;
    for (int a = 0; a < N_ANNULI; a++) {
      one[a] = most[a];
      one[3 + a] = dense[a];
    }
    one[6] = where;
    one[7] = least;
  }
}

/* ---- lines ----------------------------------------------------------------------------------------------------- */

/* A cell of a line, counted from its middle, and how much of it is in the line. */
typedef struct {
  int to; /* in a raster with a margin */
  double part;
} Step;

/* Steps of a line through the middle of a cell, nearest first; between two cells both count by how near they are. *aside:
 * where the lines beside it, two cells away, have their middle. */
static int
draw_line (double c, double s, int length, Step *step, int aside[2])
{
  const gboolean flat = fabs (c) > fabs (s);
  const double along = MAX (fabs (c), fabs (s)), slope = flat ? s / c : c / s;
  const int half = (int) floor (length * along / 2);
  int n = 0;
  for (int k = 0; k < 2 * half + 1; k++) {
    int at = k % 2 ? -(k + 1) / 2 : k / 2;
    double across = at * slope, low = floor (across);
    for (int far = 0; far < 2; far++) {
      double part = far ? across - low : 1 - across + low;
      int side = (int) low + far;
      if (part > 0)
        step[n++] = (Step){ flat ? side * STRIDE + at : at * STRIDE + side, part };
    }
  }
  aside[0] = (int) lrint (-2 * s);
  aside[1] = (int) lrint (2 * c);
  return n;
}

/* Failed dice on a line around (x, y); *present: all of them. */
static double
along_line (const Map *map, int x, int y, const Step *step, int n, double *present)
{
  const int from = in_margin (x, y);
  double sum = 0, whole = 0;
  for (int k = 0; k < n; k++) {
    double w = step[k].part * map->present[from + step[k].to];
    whole += w;
    sum += w * map->fail[from + step[k].to];
  }
  *present = whole;
  return sum;
}

/* The same as a density; the background where less than half of the line is on the wafer. */
static double
beside_line (const Map *map, int x, int y, const Step *step, int n, double length)
{
  double present, sum = along_line (map, x, y, step, n, &present);
  return present > length / 2 ? sum / present : map->background;
}

/* The lines of a length that stand out most, by their own density and by that of the lines beside them: a scratch is thin. */
typedef struct {
  double excess;  /* sigmas of dice that fail by chance */
  double density; /* of the densest */
  double thin, flank, radius,
      turn; /* the line that is densest against both sides: by how much, the emptier side, how far
                                     * from the centre, cosine of the angle to the radius; only with `sides` */
} Lines;

static Lines
find_lines (const Map *map, int cells, gboolean sides)
{
  Lines found = { -9, 0, -9, 0, 0, 0 };
  for (int d = 0; d < N_DIRECTIONS; d++) {
    Step step[2 * LONGEST + 2];
    int aside[2];
    double c = cos (d * G_PI / N_DIRECTIONS), s = sin (d * G_PI / N_DIRECTIONS), length = 0;
    int n = draw_line (c, s, cells, step, aside);
    for (int k = 0; k < n; k++)
      length += step[k].part;
    for (int i = 0; i < CELLS; i++) {
      int x = i % SIDE, y = i / SIDE;
      double present, sum = along_line (map, x, y, step, n, &present);
      if (present < 0.7 * length)
        continue;
      double chance = map->background * present;
      found.excess = MAX (found.excess, (sum - chance) / sqrt (chance * (1 - map->background)));
      found.density = MAX (found.density, sum / present);
      if (!sides || sum < 0.5 * present)
        continue;
      double left = beside_line (map, x + aside[0], y + aside[1], step, n, length);
      double right = beside_line (map, x - aside[0], y - aside[1], step, n, length);
      double contrast = sum / present - MAX (left, right);
      if (contrast > found.thin) {
        found.thin = contrast;
        found.flank = MIN (left, right);
        found.radius = map->radius[i];
        found.turn = fabs (c * map->x[i] + s * map->y[i]) / map->radius[i];
      }
    }
  }
  return found;
}

static void
measure_lines (const Map *map, double *to)
{
  for (int l = 0; l < N_LENGTHS; l++) {
    const Lines found = find_lines (map, line_cells[l], TRUE);
    const double value[6] = { found.excess, found.density, found.thin, found.flank, found.radius, found.turn };
    memcpy (to + l * 6, value, sizeof value);
  }
}

/* ---- regions --------------------------------------------------------------------------------------------------- */

typedef struct {
  int cells[CELLS], n;
  double fails;
} Region;

/* Cells whose neighbourhood stands out, connected over sides and corners: the largest and how many there are. */
static int
largest_region (const Map *map, const gboolean *out, Region *largest, int *second, int *total)
{
  gboolean seen[CELLS] = { FALSE };
  int n_regions = 0;
  static const int least = 3;
  largest->n = *second = *total = 0;
  for (int start = 0; start < CELLS; start++) {
    if (!out[start] || seen[start])
      continue;
    Region region = { .n = 1 };
    region.cells[0] = start;
    seen[start] = TRUE;
    for (int k = 0; k < region.n; k++) {
      int cell = region.cells[k], x = cell % SIDE, y = cell / SIDE;
      region.fails += (double) map->raster->fail[cell];
      for (int v = MAX (y - 1, 0); v <= MIN (y + 1, SIDE - 1); v++)
        for (int u = MAX (x - 1, 0); u <= MIN (x + 1, SIDE - 1); u++)
          if (out[v * SIDE + u] && !seen[v * SIDE + u]) {
            seen[v * SIDE + u] = TRUE;
            region.cells[region.n++] = v * SIDE + u;
          }
    }
    n_regions += region.n >= least;
    *total += region.n;
    if (region.n > largest->n || (region.n == largest->n && region.fails > largest->fails)) {
      *second = largest->n;
      *largest = region;
    } else
      *second = MAX (*second, region.n);
  }
  return n_regions;
}

static double
cross (const double *o, const double *a, const double *b)
{
  return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
}

/* Area of the convex hull of cells (Andrew 1979), their corners included. Cells come in the order of rows. */
static double
hull_area (const int *cells, int n)
{
  gboolean is[CELLS] = { FALSE };
  for (int i = 0; i < n; i++)
    is[cells[i]] = TRUE;
  double point[4 * SIDE][2], hull[8 * SIDE + 1][2];
  int m = 0, h = 0;
  for (int y = 0; y < SIDE; y++) {
    int low = SIDE, high = -1;
    for (int x = 0; x < SIDE; x++)
      if (is[y * SIDE + x])
        low = MIN (low, x), high = x;
    for (int k = 0; k < 4 && high >= 0; k++) {
      point[m][0] = y + k / 2;
      point[m++][1] = k % 2 ? high + 1 : low;
    }
  }
  /* by the first coordinate, then the second: rows' corners come in nearly that order */
  for (int i = 1; i < m; i++)
    for (int j = i;
         j > 0
         && (point[j - 1][0] > point[j][0] || (!(point[j - 1][0] < point[j][0]) && point[j - 1][1] > point[j][1]));
         j--)
      for (int k = 0; k < 2; k++) {
        double swap = point[j][k];
        point[j][k] = point[j - 1][k];
        point[j - 1][k] = swap;
      }
  for (int pass = 0; pass < 2; pass++) {
    int first = h;
    for (int i = 0; i < m; i++) {
      const double *p = point[pass ? m - 1 - i : i];
      while (h - first >= 2 && cross (hull[h - 2], hull[h - 1], p) <= 0)
        h--;
      memcpy (hull[h++], p, sizeof *hull);
    }
    h--;
  }
  double twice = 0;
  for (int i = 0; i < h; i++)
    twice += hull[i][0] * hull[(i + 1) % h][1] - hull[i][1] * hull[(i + 1) % h][0];
  return fabs (twice) / 2;
}

static void
measure_region (const Map *map, const gboolean *out, double *to)
{
  Region region;
  int second, total, n_regions = largest_region (map, out, &region, &second, &total);
  for (int i = 0; i < 16; i++)
    to[i] = 0;
  to[0] = n_regions;
  to[1] = total / MAX (map->area, 1);
  if (region.n == 0)
    return;
  double n = region.n, sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0, near = 2, far = 0, perimeter = 0;
  gboolean is[CELLS] = { FALSE };
  guint sectors = 0;
  for (int k = 0; k < region.n; k++)
    is[region.cells[k]] = TRUE;
  for (int k = 0; k < region.n; k++) {
    int i = region.cells[k], x = i % SIDE, y = i / SIDE;
    sx += map->x[i], sy += map->y[i];
    sxx += map->x[i] * map->x[i], syy += map->y[i] * map->y[i], sxy += map->x[i] * map->y[i];
    near = MIN (near, map->radius[i]);
    far = MAX (far, map->radius[i]);
    perimeter += (x == 0 || !is[i - 1]) + (x == SIDE - 1 || !is[i + 1]) + (y == 0 || !is[i - SIDE])
                 + (y == SIDE - 1 || !is[i + SIDE]);
    sectors |= 1u << sector_of (map, i);
  }
  double mx = sx / n, my = sy / n, extent = 1.0 / (3 * SIDE * SIDE);
  double xx = sxx / n - mx * mx + extent, yy = syy / n - my * my + extent, xy = sxy / n - mx * my;
  double half = (xx + yy) / 2, root = hypot ((xx - yy) / 2, xy);
  double major = sqrt (half + root), minor = sqrt (MAX (half - root, extent / 4));
  double centre = hypot (mx, my), along_radius = 0.5;
  if (centre > 0 && root > 0) { /* cosine of the angle between the long axis and the radius, squared */
    double c2 = ((xx - yy) / 2 * (mx * mx - my * my) + xy * 2 * mx * my) / (root * centre * centre);
    along_radius = (1 + c2) / 2;
  }
  to[2] = n / MAX (map->area, 1);
  to[3] = second / n;
  to[4] = region.fails / n;
  to[5] = perimeter / sqrt (n);
  to[6] = major;
  to[7] = minor;
  to[8] = minor / major;
  to[9] = n / hull_area (region.cells, region.n);
  to[10] = centre;
  to[11] = near;
  to[12] = far;
  to[13] = (double) __builtin_popcount (sectors) / N_SECTORS;
  to[14] = along_radius;
  to[15] = n / total;
}

/* Of the density around cells, and of the failed dice that have failed neighbours. */
static void
measure_regions (const Map *map, double *to)
{
  gboolean out[CELLS];
  for (int i = 0; i < CELLS; i++)
    out[i] = map->raster->present[i] > 0 && map->excess[1][i] > 3 && map->smooth[1][i] > 0.4;
  measure_region (map, out, to);
  for (int i = 0; i < CELLS; i++) {
    int x = i % SIDE, y = i / SIDE;
    double fails = 0;
    for (int v = MAX (y - 1, 0); v <= MIN (y + 1, SIDE - 1); v++)
      for (int u = MAX (x - 1, 0); u <= MIN (x + 1, SIDE - 1); u++)
        fails += (double) map->raster->fail[v * SIDE + u];
    out[i] = map->raster->present[i] > 0 && map->raster->fail[i] >= 0.5f && fails >= 3;
  }
  measure_region (map, out, to + 16);
}

/* ---- neighbours ------------------------------------------------------------------------------------------------ */

/* Pairs of neighbours of which both failed, none failed or one, against chance: the logarithm of the odds ratio (Taam and
 * Hamada, Technometrics 35, 1993), over sides and over corners, of all dice and of those away from the edge. */
static void
measure_neighbours (const Map *map, double *to)
{
  static const int step[2][2][2] = { { { 1, 0 }, { 0, 1 } }, { { 1, 1 }, { -1, 1 } } };
  for (int inside = 0; inside < 2; inside++)
    for (int diagonal = 0; diagonal < 2; diagonal++) {
      double both = 0, none = 0, one = 0;
      for (int i = 0; i < CELLS; i++)
        for (int k = 0; k < 2; k++) {
          int x = i % SIDE + step[diagonal][k][0], y = i / SIDE + step[diagonal][k][1], j = y * SIDE + x;
          if (x < 0 || x >= SIDE || y >= SIDE || (inside && (map->radius[i] > 0.8 || map->radius[j] > 0.8)))
            continue;
          double w = (double) (map->raster->present[i] * map->raster->present[j]);
          double a = (double) map->raster->fail[i], b = (double) map->raster->fail[j];
          both += w * a * b;
          none += w * (1 - a) * (1 - b);
          one += w * (a * (1 - b) + b * (1 - a));
        }
      to[inside * 2 + diagonal] = log ((both + 0.5) * (none + 0.5) / ((one / 2 + 0.5) * (one / 2 + 0.5)));
    }
}

/* ---- moments --------------------------------------------------------------------------------------------------- */

static void
measure_moments (const Map *map, double *to)
{
  double sum = 0, x = 0, y = 0, r = 0, r2 = 0, xx = 0, yy = 0, xy = 0;
  for (int i = 0; i < CELLS; i++) {
    double w = (double) map->raster->present[i] * MAX (map->smooth[0][i] - map->background, 0);
    w *= map->excess[1][i] > 2;
    sum += w;
    x += w * map->x[i], y += w * map->y[i];
    xx += w * map->x[i] * map->x[i], yy += w * map->y[i] * map->y[i], xy += w * map->x[i] * map->y[i];
    r += w * map->radius[i];
    r2 += w * map->radius[i] * map->radius[i];
  }
  for (int i = 0; i < 6; i++)
    to[i] = 0;
  if (sum <= 0)
    return;
  x /= sum, y /= sum, r /= sum, r2 /= sum, xx /= sum, yy /= sum, xy /= sum;
  double root = hypot ((xx - x * x - yy + y * y) / 2, xy - x * y), half = (xx - x * x + yy - y * y) / 2;
  to[0] = sum / map->area;
  to[1] = hypot (x, y);
  to[2] = r;
  to[3] = sqrt (MAX (r2 - r * r, 0));
  to[4] = sqrt (MAX (half + root, 0));
  to[5] = sqrt (MAX (half - root, 0));
}

static const struct {
  const char *name;
  int n;
  void (*measure) (const Map *map, double *to);
} groups[] = {
  { "density", 2, measure_density },
  { "ring", N_RINGS, measure_rings },
  { "harmonic", N_ANNULI *N_HARMONICS, measure_harmonics },
  { "edge", 12, measure_edge },
  { "projection", 3 * N_OFFSETS, measure_projections },
  { "blob", N_SCALES * 8, measure_blobs },
  { "line", N_LENGTHS * 6, measure_lines },
  { "region", 32, measure_regions },
  { "neighbour", 4, measure_neighbours },
  { "moment", 6, measure_moments },
};

int
notch_signature_count (void)
{
  int n = 0;
  for (gsize i = 0; i < G_N_ELEMENTS (groups); i++)
    n += groups[i].n;
  return n;
}

const char *
notch_signature_name (int index)
{
  gsize i = 0;
  while (index >= groups[i].n)
    index -= groups[i++].n;
  g_autofree char *name = g_strdup_printf ("%s_%d", groups[i].name, index);
  return g_intern_string (name);
}

void
notch_signature_measure (const NotchRaster *raster, double *value)
{
  Map map;
  prepare (&map, raster);
  for (gsize i = 0; i < G_N_ELEMENTS (groups); i++) {
    groups[i].measure (&map, value);
    value += groups[i].n;
  }
}

/* ---- by chance? -------------------------------------------------------------------------------------------------- */

void
notch_signature_stand_out (const NotchRaster *raster, double value[NOTCH_STAND_OUTS])
{
  Map map;
  double area[N_RINGS] = { 0 }, fails[N_RINGS] = { 0 }, neighbours[4];
  prepare (&map, raster);
  for (int s = 0; s < N_SCALES; s++) {
    value[s] = 0;
    for (int i = 0; i < CELLS; i++)
      value[s] = MAX (value[s], map.smooth[s][i]);
  }
  value[N_SCALES] = 0;
  for (int i = 0; i < CELLS; i++) {
    int ring = band_of (ring_edge, N_RINGS, map.radius[i]);
    area[ring] += (double) raster->present[i];
    fails[ring] += (double) (raster->present[i] * raster->fail[i]);
  }
  for (int i = 0; i < N_RINGS; i++)
    if (area[i] > 0)
      value[N_SCALES] = MAX (value[N_SCALES], fabs (fails[i] - area[i] * map.density) / sqrt (area[i]));
  value[N_SCALES + 1] = find_lines (&map, line_cells[1], FALSE).excess;
  value[N_SCALES + 2] = find_lines (&map, line_cells[2], FALSE).excess;
  measure_neighbours (&map, neighbours);
  value[N_SCALES + 3] = neighbours[0];
  value[N_SCALES + 4] = neighbours[1];
}
