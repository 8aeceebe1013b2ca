/* outline.c - a circle through where rays from outside first meet something
 *
 * Rays come from the image's border, so nothing inside the wafer, however it is patterned, can be taken for its edge.
 * The circle is the best of many through three points (Fischler and Bolles, Communications of the ACM 24 (1981)),
 * refined by Gauss-Newton steps on the distances to it. */
#include "inspect/wafer/outline.h"

#include <math.h>
#include <string.h>

#include "inspect/wafer/median.h"

#define N_RAYS    720
#define N_FINE    3600
#define TRIALS    400
#define TOLERANCE 2.0 /* px of the reduced image: a point belongs to a circle */

typedef struct {
  const NotchReduced *image;
  float ground; /* what is outside */
  float step;   /* a difference from it that is not noise */
} Scene;

typedef struct {
  double x, y;
} Point;

typedef struct {
  double x, y, radius, rms;
} Circle;

static double
median_double (const double *value, int n)
{
  g_autofree float *copy = g_new (float, n);
  for (int i = 0; i < n; i++)
    copy[i] = (float) value[i];
  return notch_median (copy, (gsize) n);
}

/* Bilinear; FALSE outside. */
static gboolean
sample (const NotchReduced *image, double x, double y, float *value)
{
  if (!(x >= 0 && y >= 0 && x <= image->width - 1 && y <= image->height - 1))
    return FALSE;
  gint64 ix = MIN ((gint64) x, image->width - 2), iy = MIN ((gint64) y, image->height - 2);
  float fx = (float) (x - ix), fy = (float) (y - iy);
  const float *p = image->value + iy * image->width + ix;
  *value = (1 - fy) * ((1 - fx) * p[0] + fx * p[1]) + fy * ((1 - fx) * p[image->width] + fx * p[image->width + 1]);
  return TRUE;
}

/* The background from the flattest corner: its level, its noise, and how far from it most other things are. */
static gboolean
find_ground (Scene *scene)
{
  const NotchReduced *image = scene->image;
  int side = (int) MIN (MIN (image->width, image->height) / 24, 32);
  float spread = INFINITY;
  g_autofree float *corner = g_new (float, (gsize) side *(gsize) side);
  for (int k = 0; k < 4; k++) {
    gint64 x0 = k & 1 ? image->width - side : 0, y0 = k & 2 ? image->height - side : 0;
    gsize n = 0;
    for (int y = 0; y < side; y++)
      for (int x = 0; x < side; x++)
        corner[n++] = image->value[(y0 + y) * image->width + x0 + x];
    float level = notch_median (corner, n);
    for (gsize i = 0; i < n; i++)
      corner[i] = fabsf (corner[i] - level);
    float here = notch_quantile (corner, n, 0.9); /* nearly all of the corner is flat, not just half */
    if (here < spread) {
      spread = here;
      scene->ground = level;
    }
  }
  /* 90 % of a normal distribution lies within 1.64 sigmas. */
  float noise = spread / 1.64f;
  gsize n = 0;
  gint64 all = image->width * image->height, skip = MAX (1, all / 100000);
  g_autofree float *far = g_new (float, (gsize) (all / skip + 1));
  for (gint64 i = 0; i < all; i += skip) {
    float away = fabsf (image->value[i] - scene->ground);
    if (away > 6 * noise)
      far[n++] = away;
  }
  if (n < 1000 || n * (gsize) skip < (gsize) all / 20)
    return FALSE;
  scene->step = fmaxf (6 * noise, 0.3f * notch_median (far, n));
  return TRUE;
}

/* Walks from a point outside along a unit vector for at most `most` px and finds where the ground ends for good: most of
 * the next 6 px differ from it. Then the place, to a fraction of a pixel, where half of the difference is reached. */
static gboolean
find_edge (const Scene *scene, Point from, Point along, double most, Point *edge)
{
  int run = 0;
  float before = 0;
  for (int i = 0; i < most; i++) {
    float value = 0;
    if (!sample (scene->image, from.x + i * along.x, from.y + i * along.y, &value)) {
      if (i > 0)
        return FALSE;
      continue;
    }
    float away = value - scene->ground;
    if (fabsf (away) < scene->step) {
      before = away;
      run++;
      continue;
    }
    if (run < 3) /* a ray that does not start on the ground tells nothing */
      return FALSE;
    int differing = 0;
    float inside = 0, next = 0;
    for (int k = 0; k < 6; k++)
      if (sample (scene->image, from.x + (i + k) * along.x, from.y + (i + k) * along.y, &next)) {
        differing += fabsf (next - scene->ground) >= scene->step;
        if (k >= 2)
          inside += (next - scene->ground) / 4;
      }
    if (differing < 4)
      continue;
    /* Up or down the flank to half of the height inside. */
    double half = fabs (0.5 * inside), low = fabsf (before), high = fabsf (away), at = i - 1;
    for (int k = 1; high < half && k < 5; k++) {
      low = high;
      at = i + k - 1;
      if (!sample (scene->image, from.x + (i + k) * along.x, from.y + (i + k) * along.y, &next))
        return FALSE;
      high = fabsf (next - scene->ground);
    }
    at += high > low ? CLAMP ((half - low) / (high - low), 0, 1) : 0.5;
    *edge = (Point){ from.x + at * along.x, from.y + at * along.y };
    return TRUE;
  }
  return FALSE;
}

static gboolean
circle_through (Point a, Point b, Point c, Circle *circle)
{
  double bx = b.x - a.x, by = b.y - a.y, cx = c.x - a.x, cy = c.y - a.y;
  double d = 2 * (bx * cy - by * cx);
  if (fabs (d) < 1e-6)
    return FALSE;
  double b2 = bx * bx + by * by, c2 = cx * cx + cy * cy;
  double x = (cy * b2 - by * c2) / d, y = (bx * c2 - cx * b2) / d;
  *circle = (Circle){ a.x + x, a.y + y, hypot (x, y), 0 };
  return TRUE;
}

/* Least squares of the distances to the circle, over the points that are within `tolerance` of it. Their number. */
static int
refine (const Point *point, int n, double tolerance, Circle *circle)
{
  int used = 0;
  for (int step = 0; step < 8; step++) {
    double m[3][4] = { { 0 } }, square = 0;
    used = 0;
    for (int i = 0; i < n; i++) {
      double u = point[i].x - circle->x, v = point[i].y - circle->y, r = hypot (u, v), e = r - circle->radius;
      if (fabs (e) > tolerance || r <= 0)
        continue;
      double g[4] = { u / r, v / r, 1, e };
      for (int j = 0; j < 3; j++)
        for (int k = 0; k < 4; k++)
          m[j][k] += g[j] * g[k];
      square += e * e;
      used++;
    }
    if (used < 8)
      return 0;
    circle->rms = sqrt (square / used);
    for (int j = 0; j < 3; j++) { /* Gauss-Jordan; the matrix is positive definite unless the points are degenerate */
      if (!(m[j][j] > 1e-9))
        return 0;
      for (int k = 3; k >= j; k--)
        m[j][k] /= m[j][j];
      for (int i = 0; i < 3; i++)
        if (i != j) {
          double f = m[i][j];
          for (int k = j; k < 4; k++)
            m[i][k] -= f * m[j][k];
        }
    }
    circle->x += m[0][3];
    circle->y += m[1][3];
    circle->radius += m[2][3];
  }
  return used;
}

/* Rays from `n` places around the image's border towards a point inside. */
static int
shoot_from_border (const Scene *scene, Point target, Point *edge)
{
  double w = (double) scene->image->width - 1, h = (double) scene->image->height - 1;
  int n = 0;
  for (int i = 0; i < N_RAYS; i++) {
    double s = i * 2 * (w + h) / N_RAYS;
    Point from = s < w           ? (Point){ s, 0 }
                 : s < w + h     ? (Point){ w, s - w }
                 : s < 2 * w + h ? (Point){ 2 * w + h - s, h }
                                 : (Point){ 0, 2 * (w + h) - s };
    double u = target.x - from.x, v = target.y - from.y, length = hypot (u, v);
    if (length > 1 && find_edge (scene, from, (Point){ u / length, v / length }, length, &edge[n]))
      n++;
  }
  return n;
}

static int
count_near (const Point *point, int n, const Circle *circle, double tolerance)
{
  int near = 0;
  for (int i = 0; i < n; i++)
    near += fabs (hypot (point[i].x - circle->x, point[i].y - circle->y) - circle->radius) <= tolerance;
  return near;
}

static gboolean
fit_circle (const Point *point, int n, const NotchReduced *image, Circle *circle)
{
  double side = (double) MIN (image->width, image->height), longer = (double) MAX (image->width, image->height);
  int most = 0;
  guint32 state = 1;
  for (int trial = 0; trial < TRIALS && n > 2; trial++) {
    int pick[3];
    for (int k = 0; k < 3; k++) {
      state = state * 1664525u + 1013904223u; /* Numerical Recipes' generator: the same trials every time */
      pick[k] = (int) ((guint64) state * (guint64) n >> 32);
    }
    Circle guess = { 0 };
    if (!circle_through (point[pick[0]], point[pick[1]], point[pick[2]], &guess) || guess.radius < 0.2 * side
        || guess.radius > 1.5 * longer)
      continue;
    int near = count_near (point, n, &guess, TOLERANCE);
    if (near > most) {
      most = near;
      *circle = guess;
    }
  }
  return most >= N_RAYS / 10 && most >= 0.6 * n && refine (point, n, TOLERANCE, circle) > 0;
}

/* Edge residuals all around the circle, NAN where the ray left the image; positive is outside. */
static void
shoot_radially (const Scene *scene, const Circle *circle, double *residual)
{
  double outer = 1.04 * circle->radius + 6;
  for (int i = 0; i < N_FINE; i++) {
    double angle = 2 * G_PI * i / N_FINE;
    Point out = { cos (angle), sin (angle) };
    residual[i] = NAN;
    Point edge = { 0 };
    /* From as far outside as the image goes. */
    for (double start = outer; start > circle->radius + 4; start -= 1) {
      Point from = { circle->x + start * out.x, circle->y + start * out.y };
      float unused = 0;
      if (!sample (scene->image, from.x, from.y, &unused))
        continue;
      if (find_edge (scene, from, (Point){ -out.x, -out.y }, 0.2 * circle->radius, &edge))
        residual[i] = hypot (edge.x - circle->x, edge.y - circle->y) - circle->radius;
      break;
    }
  }
}

/* The depth, px, of the V of half width `half` samples that fits the edge best; 0 where what is there is no V: less than
 * 0.9 of its variance is explained, and a street that reaches the edge makes a box. */
static double
match_notch (const double *residual, int at, int half)
{
  double sum = 0, norm = 0, mean = 0, energy = 0;
  int n = 4 * half + 1;
  for (int k = -2 * half; k <= 2 * half; k++)
    mean += residual[(at + k + N_FINE) % N_FINE] / n;
  for (int k = -2 * half; k <= 2 * half; k++) {
    /* Half over twice two halves: the V's own mean. */
    double e = residual[(at + k + N_FINE) % N_FINE] - mean,
           v = fmax (0, 1 - fabs ((double) k / half)) - (double) half / n;
    sum -= e * v;
    norm += v * v;
    energy += e * e;
  }
  return sum > 0 && sum * sum >= 0.9 * norm * energy ? sum / norm : 0; /* no ray gives NAN, and that 0 */
}

/* SEMI M1: about 1 mm deep with flanks 90 degrees apart, on wafers of 200 and 300 mm: 1/100 to 1/150 of the radius. */
static void
find_notch (double *residual, double radius, NotchOutline *outline)
{
  g_autofree double *away = g_new (double, N_FINE);
  int n = 0;
  for (int i = 0; i < N_FINE; i++)
    if (!isnan (residual[i]))
      away[n++] = fabs (residual[i]);
  if (n < N_FINE / 8)
    return;
  double spread = fmax (1.4826 * median_double (away, n), 0.05);
  /* A flat: the longest run of points inside the circle. */
  int longest = 0, end = 0, run = 0;
  for (int i = 0; i < 2 * N_FINE; i++) {
    double e = residual[i % N_FINE];
    run = !isnan (e) && e < -fmax (5 * spread, 0.002 * radius) ? run + 1 : 0;
    if (run > longest && run < N_FINE) {
      longest = run;
      end = i;
    }
  }
  if (longest > N_FINE / 36) {
    outline->flat = TRUE;
    outline->notch_angle = -2 * G_PI * (end - 0.5 * (longest - 1)) / N_FINE;
    outline->notch_angle -= 2 * G_PI * floor (outline->notch_angle / (2 * G_PI) + 0.5);
    return;
  }
  /* Deeper than a notch can be is a ray that slipped in along a dark street. */
  for (int i = 0; i < N_FINE; i++)
    if (residual[i] < -0.014 * radius)
      residual[i] = 0;
  /* Flanks at right angles: as deep as half its width, or a street's end is taken for one. */
  static const double width[] = { 1 / 150.0, 1 / 120.0, 1 / 100.0, 1 / 80.0 };
  g_autofree double *depth = g_new0 (double, N_FINE);
  int best = 0, best_half = 1;
  for (gsize k = 0; k < G_N_ELEMENTS (width); k++) {
    int half = MAX (2, (int) lround (width[k] * N_FINE / (2 * G_PI)));
    for (int i = 0; i < N_FINE; i++) {
      double d = match_notch (residual, i, half), shape = d / (width[k] * radius);
      if (shape < 0.6 || shape > 1.5 || d <= depth[i])
        continue;
      depth[i] = d;
      if (d > depth[best] || i == best) {
        best = i;
        best_half = half;
      }
    }
  }
  double found = depth[best], rival = 0;
  for (int i = 0; i < N_FINE; i++) {
    int apart = abs (i - best);
    if (MIN (apart, N_FINE - apart) > 5 * best_half)
      rival = fmax (rival, depth[i]);
  }
  if (found < fmax (5 * spread / sqrt (best_half), 0.5) || rival > 0.6 * found)
    return;
  double left = match_notch (residual, (best + N_FINE - 1) % N_FINE, best_half);
  double right = match_notch (residual, (best + 1) % N_FINE, best_half), curve = left - 2 * found + right;
  double at = best + (curve < 0 ? 0.5 * (left - right) / curve : 0);
  outline->notch_angle = -2 * G_PI * at / N_FINE;
  outline->notch_angle -= 2 * G_PI * floor (outline->notch_angle / (2 * G_PI) + 0.5);
}

void
notch_outline_find (const NotchReduced *reduced, NotchOutline *outline)
{
  *outline = (NotchOutline){ .notch_angle = NAN };
  Scene scene = { .image = reduced };
  if (reduced->width < 96 || reduced->height < 96 || !find_ground (&scene))
    return;
  g_autofree Point *edge = g_new (Point, N_FINE);
  Point target = { 0, 0 };
  gint64 all = 0;
  for (gint64 y = 0; y < reduced->height; y += 4)
    for (gint64 x = 0; x < reduced->width; x += 4)
      if (fabsf (reduced->value[y * reduced->width + x] - scene.ground) >= scene.step) {
        target.x += (double) x;
        target.y += (double) y;
        all++;
      }
  if (all == 0)
    return;
  target.x /= (double) all;
  target.y /= (double) all;
  Circle circle = { 0 };
  int n = shoot_from_border (&scene, target, edge);
  if (!fit_circle (edge, n, reduced, &circle))
    return;
  /* Again with rays towards the centre, which meet the edge squarely. */
  g_autofree double *residual = g_new (double, N_FINE);
  for (int round = 0; round < 2; round++) {
    shoot_radially (&scene, &circle, residual);
    n = 0;
    for (int i = 0; i < N_FINE; i++) {
      double angle = 2 * G_PI * i / N_FINE, r = circle.radius + residual[i];
      if (!isnan (residual[i]))
        edge[n++] = (Point){ circle.x + r * cos (angle), circle.y + r * sin (angle) };
    }
    int used = refine (edge, n, fmax (TOLERANCE - round, 3 * circle.rms), &circle);
    if (used < N_FINE / 10 || used < 0.6 * n)
      return;
  }
  shoot_radially (&scene, &circle, residual);
  /* Reduced pixel i covers px i * factor to (i + 1) * factor - 1 of the image. */
  double factor = reduced->factor, shift = (factor - 1) / 2;
  outline->x = (double) reduced->x + circle.x * factor + shift;
  outline->y = (double) reduced->y + circle.y * factor + shift;
  outline->radius = circle.radius * factor;
  outline->rms = circle.rms * factor;
  outline->arc = (double) n / N_FINE;
  find_notch (residual, circle.radius, outline);
}

float *
notch_outline_mask (const NotchOutline *outline, const NotchReduced *reduced, double margin)
{
  if (!(outline->radius > 0))
    return NULL;
  float *mask = g_new (float, (gsize) (reduced->width * reduced->height));
  double factor = reduced->factor, shift = (factor - 1) / 2, most = fmax (outline->radius - margin, 0);
  for (gint64 y = 0; y < reduced->height; y++)
    for (gint64 x = 0; x < reduced->width; x++) {
      double u = (double) reduced->x + (double) x * factor + shift - outline->x;
      double v = (double) reduced->y + (double) y * factor + shift - outline->y;
      mask[y * reduced->width + x] = hypot (u, v) <= most;
    }
  return mask;
}
