/* features.c - the columns of numbers that a defect has: a row each with name, unit, decimals, meaning and function
 *
 * CSV, JSON, rules and the manual read this table; to add a feature, add it to the enumeration and here. */
#include "inspect/detect/features.h"

#include <float.h>
#include <math.h>

#include "kernels/math/blob.h"

/* px: no further from the centroid the peak of a filter of that sigma is the middle of a defect. */
#define PEAK_NEAR(sigma) (2 + 2 * (sigma))

/* What several features need, worked out once. */
typedef struct {
  const NotchJoined *blob;
  const NotchFeatureContext *context;
  double x, y;                /* px: centroid */
  double wafer_x, wafer_y;    /* µm */
  const NotchDie *die;        /* NULL: outside the grid */
  double die_x, die_y;        /* µm, NAN without a die */
  double major, minor;        /* px^2: variances along the principal axes */
  double angle;               /* degrees, (-90, 90] */
  double feret;               /* px */
  const NotchChannel *filter; /* that responded most, or NULL */
} Measured;

/* sum / n where the sum may be far larger than 2^53: the whole part is exact. */
static double
ratio (NotchWide sum, NotchWide n)
{
  return (double) (sum / n) + (double) (sum % n) / (double) n;
}

/* A mean of grey levels or sigmas from a sum in 1/256. */
static double
mean (const Measured *m, NotchWide sum)
{
  return ratio (sum, m->blob->n) / 256;
}

static double
box_width (const NotchJoined *blob)
{
  return (double) (blob->x1 - blob->x0 + 1);
}

static double
box_height (const NotchJoined *blob)
{
  return (double) (blob->y1 - blob->y0 + 1);
}

/* With R = sum of residuals and A = sum of their sizes, 1 - |R| / A. */
static double
bipolarity (const NotchJoined *blob)
{
  const NotchWide sum = blob->res < 0 ? -blob->res : blob->res;
  return blob->res_abs > 0 ? 1 - (double) sum / (double) blob->res_abs : NAN;
}

/* Along the die's sides, whatever the lattice's angle. */
static double
die_edge (const Measured *m)
{
  const NotchGrid *grid = m->context->grid;
  double col = NAN, row = NAN;
  if (!m->die)
    return NAN;
  notch_grid_to_cells (grid, m->x - m->die->dx, m->y - m->die->dy, &col, &row);
  const double u = col - floor (col), v = row - floor (row);
  return MIN (MIN (u, 1 - u) * hypot (grid->ax, grid->ay), MIN (v, 1 - v) * hypot (grid->bx, grid->by));
}

/* Of what the spot explains; a spot of one sigma or less explains one. */
static double
share (const Measured *m, double gain)
{
  const double snr = m->blob->look.shape.spot_snr;
  return gain / MAX (snr * snr, 1);
}

/* clang-format off */
#define FEATURES(F)                                                                                                    \
  F (X, "x_px", "px", 3, OWN, "SNR-weighted centroid in the image, to the right", m->x)                                \
  F (Y, "y_px", "px", 3, OWN, "SNR-weighted centroid in the image, down", m->y)                                        \
  F (WIDTH, "width_px", "px", 0, ALL, "width of the bounding box", box_width (m->blob))                                \
  F (HEIGHT, "height_px", "px", 0, ALL, "height of the bounding box", box_height (m->blob))                            \
  F (AREA, "area_px", "px", 0, ALL, "number of pixels", (double) m->blob->n)                                           \
  F (DIE_COL, "die_col", "", 0, OWN, "column of the die", m->die ? m->die->col : NAN)                                  \
  F (DIE_ROW, "die_row", "", 0, OWN, "row of the die", m->die ? m->die->row : NAN)                                     \
  F (DIE_X_UM, "die_x_um", "um", 3, OWN, "from the die's lower left corner, to the right", m->die_x)                   \
  F (DIE_Y_UM, "die_y_um", "um", 3, OWN, "from the die's lower left corner, up", m->die_y)                             \
  F (WAFER_X_UM, "wafer_x_um", "um", 3, OWN, "from the wafer's centre, to the right", m->wafer_x)                      \
  F (WAFER_Y_UM, "wafer_y_um", "um", 3, OWN, "from the wafer's centre, up", m->wafer_y)                                \
  F (SIZE_UM, "size_um", "um", 3, OWN, "largest Feret diameter", m->feret * m->context->frame.pixel_um)                \
  F (AREA_UM2, "area_um2", "um2", 3, OWN, "area",                                                                      \
     (double) m->blob->n * m->context->frame.pixel_um * m->context->frame.pixel_um)                                    \
  F (PEAK_SNR, "peak_snr", "sigma", 3, ALL, "largest response of a matched filter", m->blob->peak / 256.0)             \
  F (CONTRAST, "contrast", "grey levels", 3, OWN, "mean signed residual; above zero is brighter than the reference",   \
     mean (m, m->blob->res))                                                                                           \
  F (ELONGATION, "elongation", "", 3, ALL, "axis ratio from second moments", sqrt (m->major / m->minor))               \
  F (ANGLE_DEG, "angle_deg", "deg", 2, OWN, "major axis from +x, counter-clockwise", m->angle)                         \
  F (CLUSTER, "cluster", "", 0, OWN, "number of the cluster, 0 for none", 0)                                           \
  F (REPEATER, "repeater", "", 0, OWN, "number of the repeater, 0 for none", 0)                                        \
  F (SEED_PX, "seed_px", "px", 0, ALL, "pixels at or above the detection threshold", (double) m->blob->n_seed)         \
  F (FLUX, "flux", "grey levels", 3, OWN, "sum of signed residuals", (double) m->blob->res / 256)                      \
  F (BIPOLARITY, "bipolarity", "", 3, ALL, "0: all brighter or all darker; 1: as much of either",                      \
     bipolarity (m->blob))                                                                                             \
  F (SCALE_PX, "scale_px", "px", 3, ALL, "sigma of the filter that responds most",                                     \
     m->filter ? (double) m->filter->sigma : NAN)                                                                      \
  F (FILL, "fill", "", 3, ALL, "pixels over those of the bounding box",                                                \
     (double) m->blob->n / (box_width (m->blob) * box_height (m->blob)))                                               \
  F (REFERENCE, "reference", "grey levels", 3, OWN, "mean of the reference under the defect", mean (m, m->blob->ref))  \
  F (EDGE, "edge", "grey levels a px", 3, OWN, "mean gradient of the reference under the defect",                      \
     mean (m, m->blob->ref_edge))                                                                                      \
  F (LINE, "line", "", 0, ALL, "1 when a filter for lines responds most, else 0",                                      \
     m->filter ? m->filter->kind == NOTCH_CHANNEL_LINE : NAN)                                                          \
  F (PARTS, "parts", "", 0, OWN, "pieces that a scratch was linked of", MAX (m->blob->linked.parts, 1))                \
  F (LENGTH_UM, "length_um", "um", 3, OWN, "from end to end along the pieces",                                         \
     MAX (m->blob->linked.length, m->feret) * m->context->frame.pixel_um)                                              \
  F (DICE, "dice", "", 0, OWN, "dice that the pieces lie in", MAX (m->blob->linked.n_dice, m->die != NULL))            \
  F (DIE_EDGE_PX, "die_edge_px", "px", 3, ALL, "distance to the nearest border of its die", die_edge (m))              \
  F (POLARITY, "polarity", "", 0, ALL, "1: brighter than the reference, -1: darker, where it is strongest",            \
     m->blob->look.polarity)                                                                                           \
  F (CORE_PX, "core_px", "px", 3, ALL,                                                                                 \
     "radius of a disc as large as the core: where the smoothed residual is above half of its peak",                   \
     m->blob->look.core_px)                                                                                            \
  F (ROUNDNESS, "roundness", "", 3, ALL, "4 pi area / perimeter^2 of the core: 1 for a disc",                          \
     m->blob->look.roundness)                                                                                          \
  F (STRETCH, "stretch", "", 3, ALL, "axis ratio of the core", m->blob->look.stretch)                                  \
  F (HOLES, "holes", "", 0, ALL, "holes in the core", m->blob->look.holes)                                             \
  F (HOLLOW, "hollow", "", 3, ALL, "mean residual in the inner half of the core over that in its outer half",          \
     m->blob->look.hollow)                                                                                             \
  F (SKIRT, "skirt", "", 3, ALL, "mean residual around the core over that in it", m->blob->look.skirt)                 \
  F (ROUGHNESS, "roughness", "", 3, ALL, "fine texture of the residual in the core over that around it",               \
     m->blob->look.roughness)                                                                                          \
  F (CLARITY, "clarity", "", 3, ALL, "peak of the smoothed residual over its sigma nearby", m->blob->look.clarity)     \
  F (STEP, "step", "", 3, ALL, "mean residual of the core over the difference of the pattern's two tones",             \
     m->blob->look.step)                                                                                               \
  F (TONE, "tone", "", 3, ALL, "tone of the reference under the core: 0 dark, 1 bright", m->blob->look.tone)           \
  F (BRIGHT, "bright", "", 3, ALL, "share of the surroundings that is bright", m->blob->look.bright)                   \
  F (CHANGED, "changed", "", 3, ALL, "share of the core that is of the tone that the defect takes away",               \
     m->blob->look.changed)                                                                                            \
  F (TOUCHED, "touched", "", 0, ALL, "parts of the other tone that it touches: a bridge 2, a spur 1, an island 0",     \
     m->blob->look.touched)                                                                                            \
  F (LEFT, "left", "", 0, ALL,                                                                                         \
     "pieces left around it of what it takes away: an open 2, a mouse bite 1, a missing part 0",                       \
     m->blob->look.left)                                                                                               \
  F (TAKEN, "taken", "", 3, ALL, "share of those parts that it takes away", m->blob->look.taken)                       \
  F (RIM, "rim", "", 3, ALL, "share of its outline there that lies on the pattern's edge", m->blob->look.rim)          \
  F (EDGE_FIT, "edge_fit", "", 3, ALL, "correlation of the residual with the pattern's edges",                         \
     m->blob->look.edge_fit)                                                                                           \
  F (TONE_FIT, "tone_fit", "", 3, ALL, "correlation of the residual with the pattern", m->blob->look.tone_fit)         \
  F (SPOT_PX, "spot_px", "px", 3, ALL, "sigma of the Gaussian spot that fits best", m->blob->look.shape.spot_px)       \
  F (SPOT_RATIO, "spot_ratio", "", 3, ALL, "ratio of its axes", m->blob->look.shape.spot_ratio)                        \
  F (SPOT_SNR, "spot_snr", "sigma", 3, ALL, "root of what it explains of the residual", m->blob->look.shape.spot_snr)  \
  F (BOX_LONG, "box_long", "px", 3, ALL, "longer side of the box that fits best, as sharp as the pattern",             \
     m->blob->look.shape.box_long)                                                                                     \
  F (BOX_SHORT, "box_short", "px", 3, ALL, "its shorter side", m->blob->look.shape.box_short)                          \
  F (BOX_GAIN, "box_gain", "sigma2", 3, ALL, "what the box explains more than the spot",                               \
     m->blob->look.shape.box_gain)                                                                                     \
  F (BOTH_LOSS, "both_loss", "sigma2", 3, ALL,                                                                         \
     "less of it with two opposite sides on the pattern's edges, as a bridge or an open has",                          \
     m->blob->look.shape.both_loss)                                                                                    \
  F (ONE_LOSS, "one_loss", "sigma2", 3, ALL,                                                                           \
     "less of it with a side on the pattern's edge, as a spur or a mouse bite has",                                    \
     m->blob->look.shape.one_loss)                                                                                     \
  F (FOUR_LOSS, "four_loss", "sigma2", 3, ALL,                                                                         \
     "less of it with all sides on the pattern's edges, as a missing part has",                                        \
     m->blob->look.shape.four_loss)                                                                                    \
  F (GAP_PX, "gap_px", "px", 3, ALL, "between the pattern's edges on both sides of the box",                           \
     m->blob->look.shape.gap_px)                                                                                       \
  F (GAP_FILL, "gap_fill", "", 3, ALL, "share of that gap from one edge on which the defect takes",                    \
     m->blob->look.shape.gap_fill)                                                                                     \
  F (GAP_OFF, "gap_off", "", 3, ALL, "from the gap's middle to the box's, over the gap", m->blob->look.shape.gap_off)  \
  F (EDGES, "edges", "", 3, ALL, "step of the weaker of these edges over the reference's range around the defect",     \
     m->blob->look.shape.edges)                                                                                        \
  F (DISC_PX, "disc_px", "px", 3, ALL, "radius of the disc that fits best", m->blob->look.shape.disc_px)               \
  F (DISC_SOFT, "disc_soft", "", 3, ALL, "sigma of its rim over the radius", m->blob->look.shape.disc_soft)            \
  F (DISC_GAIN, "disc_gain", "sigma2", 3, ALL, "what the disc explains more than the spot",                            \
     m->blob->look.shape.disc_gain)                                                                                    \
  F (WAVY, "wavy", "", 3, ALL, "rms of the waves of its outline over the radius", m->blob->look.shape.wavy)            \
  F (WAVY_GAIN, "wavy_gain", "sigma2", 3, ALL, "what a wavy outline explains more than a round one",                   \
     m->blob->look.shape.wavy_gain)                                                                                    \
  F (BOX_SHARE, "box_share", "", 5, ALL, "box_gain over what the spot explains",                                       \
     share (m, m->blob->look.shape.box_gain))                                                                          \
  F (BOTH_SHARE, "both_share", "", 5, ALL, "both_loss over the same", share (m, m->blob->look.shape.both_loss))        \
  F (ONE_SHARE, "one_share", "", 5, ALL, "one_loss over the same", share (m, m->blob->look.shape.one_loss))            \
  F (FOUR_SHARE, "four_share", "", 5, ALL, "four_loss over the same", share (m, m->blob->look.shape.four_loss))        \
  F (DISC_SHARE, "disc_share", "", 5, ALL, "disc_gain over the same", share (m, m->blob->look.shape.disc_gain))        \
  F (WAVY_SHARE, "wavy_share", "", 5, ALL, "wavy_gain over the same", share (m, m->blob->look.shape.wavy_gain))        \
  F (DISC_RIM_PX, "disc_rim_px", "px", 3, ALL, "sigma of the disc's rim",                                              \
     m->blob->look.shape.disc_px * m->blob->look.shape.disc_soft)                                                      \
  F (LUMPS_FINE, "lumps_fine", "", 3, ALL, "what the wavy disc leaves inside, over noise, smoothed by 1.2 px",         \
     m->blob->look.shape.lumps_fine)                                                                                   \
  F (LUMPS_COARSE, "lumps_coarse", "", 3, ALL, "the same, smoothed by 3.2 px", m->blob->look.shape.lumps_coarse)       \
  F (RIM_FINE, "rim_fine", "", 3, ALL, "what it leaves at its rim, over noise, smoothed by 1.2 px",                    \
     m->blob->look.shape.rim_fine)                                                                                     \
  F (RIM_COARSE, "rim_coarse", "", 3, ALL, "the same, smoothed by 3.2 px", m->blob->look.shape.rim_coarse)             \
  F (FAR_1, "far_1", "", 3, ALL,                                                                                       \
     "largest response of a Gaussian of 1 px in the patch, over the largest near the defect",                          \
     m->blob->look.scales.far[0])                                                                                      \
  F (FAR_2, "far_2", "", 3, ALL, "the same of one of 2 px", m->blob->look.scales.far[1])                               \
  F (FAR_4, "far_4", "", 3, ALL, "the same of one of 4 px", m->blob->look.scales.far[2])                               \
  F (FAR_8, "far_8", "", 3, ALL, "the same of one of 8 px", m->blob->look.scales.far[3])                               \
  F (WIDE_PX, "wide_px", "px", 3, ALL,                                                                                 \
     "radius of a disc as large as what is above half of the peak, smoothed by 4 px",                                  \
     m->blob->look.scales.wide_px)                                                                                     \
  F (WIDE_OFF, "wide_off", "px", 3, ALL, "from the middle of that to the core's", m->blob->look.scales.wide_off)       \
  F (FILM, "film", "", 3, ALL,                                                                                         \
     "1 where the residual scales with the pattern, 0 where it is added, less where it hides it",                      \
     m->blob->look.shape.film)                                                                                         \
  F (FILM_SNR, "film_snr", "sigma", 3, ALL, "how far that is from 0", m->blob->look.shape.film_snr)
/* clang-format on */

/* Clusters and repeaters are known once all defects are (inspect/sign/). */

/* What a column means elsewhere: classifiers learn from those that say the same on every wafer and of every camera, not from
 * places, lengths in um and grey levels. */
enum { OWN, ALL };

#define INFO(id, name, unit, decimals, reach, summary, expression)                                                     \
  [NOTCH_FEATURE_##id] = { name, unit, summary, decimals, reach == ALL },
const NotchFeatureInfo notch_feature_info[NOTCH_N_FEATURES] = { FEATURES (INFO) };

#define FUNCTION(id, name, unit, decimals, reach, summary, expression)                                                 \
  static double measure_##id (G_GNUC_UNUSED const Measured *m)                                                         \
  {                                                                                                                    \
    return expression;                                                                                                 \
  }
FEATURES (FUNCTION)

#define ENTRY(id, name, unit, decimals, reach, summary, expression) [NOTCH_FEATURE_##id] = measure_##id,
static double (*const measure[NOTCH_N_FEATURES]) (const Measured *) = { FEATURES (ENTRY) };

/* No feature can have two rows (a function would be defined twice), so it is enough to count them. */
#define ONE(id, name, unit, decimals, reach, summary, expression) +1
_Static_assert((0 FEATURES (ONE)) == NOTCH_N_FEATURES, "every feature has a row");

/* Second central moments and what follows from them. The sums are moved to the pixel at the mean first, in whole
 * numbers, so that nothing cancels far from the image's corner. */
static void
measure_shape (Measured *m)
{
  const NotchJoined *b = m->blob;
  const NotchWide cx = b->x / b->n, cy = b->y / b->n;
  const double n = (double) b->n;
  const double x = (double) (b->x - cx * b->n) / n, y = (double) (b->y - cy * b->n) / n; /* below 1 */
  const double xx = (double) (b->xx - 2 * cx * b->x + cx * cx * b->n) / n - x * x + 1.0 / 12;
  const double yy = (double) (b->yy - 2 * cy * b->y + cy * cy * b->n) / n - y * y + 1.0 / 12;
  const double xy = (double) (b->xy - cx * b->y - cy * b->x + cx * cy * b->n) / n - x * y;
  const double spread = hypot (xx - yy, 2 * xy);

  m->major = (xx + yy + spread) / 2;
  m->minor = MAX ((xx + yy - spread) / 2, 1.0 / 12);     /* no pixels are thinner than one */
  m->angle = atan2 (-2 * xy, xx - yy) * 90 / G_PI + 0.0; /* y runs down; + 0.0 makes -0 a 0 */
  if (m->angle <= -90)
    m->angle += 180;
}

static void
measure_feret (Measured *m)
{
  const int cosine[NOTCH_FERET_DIRECTIONS] = NOTCH_FERET_COS, sine[NOTCH_FERET_DIRECTIONS] = NOTCH_FERET_SIN;
  const int half = NOTCH_FERET_DIRECTIONS / 2;

  m->feret = 1;
  for (int k = 0; k < half;
       k++) { /* the extent to one side and to the other; the whole numbers' length is not quite 256 */
    const double extent = (double) (m->blob->feret[k] + m->blob->feret[k + half]) / hypot (cosine[k], sine[k]);
    m->feret = MAX (m->feret, extent + 1);
  }
}

/* The middle of what the peak's filter sees, which noise, skirts and neighbours move less than they move the centroid of all
 * pixels; that one counts where a line was seen, several blobs were linked, or the peak is not what there is most of. */
static void
measure_place (Measured *m)
{
  const NotchJoined *blob = m->blob;
  const NotchWide weight = blob->w > 0 ? blob->w : blob->n;

  m->x = ratio (blob->w > 0 ? blob->wx : blob->x, weight);
  m->y = ratio (blob->w > 0 ? blob->wy : blob->y, weight);
  if (!m->filter || m->filter->kind != NOTCH_CHANNEL_BLOB || blob->linked.parts > 1)
    return;
  const double x = (double) blob->peak_x + blob->peak_dx / 256.0, y = (double) blob->peak_y + blob->peak_dy / 256.0;
  if (hypot (x - m->x, y - m->y) <= PEAK_NEAR (m->filter->sigma))
    m->x = x, m->y = y;
}

void
notch_features_measure (const NotchJoined *blob, const NotchFeatureContext *context, double value[NOTCH_N_FEATURES])
{
  Measured m = { .blob = blob, .context = context, .die_x = NAN, .die_y = NAN };

  if (blob->peak_channel >= 0 && blob->peak_channel < context->n_channels)
    m.filter = &context->channel[blob->peak_channel];
  measure_place (&m);
  notch_frame_to_wafer (&context->frame, m.x, m.y, &m.wafer_x, &m.wafer_y);
  m.die = context->grid ? notch_grid_locate (context->grid, m.x, m.y) : NULL;
  if (m.die)
    notch_die_to_um (context->grid, m.die, context->frame.pixel_um, m.x - m.die->dx, m.y - m.die->dy, &m.die_x,
                     &m.die_y);
  measure_shape (&m);
  measure_feret (&m);
  for (int i = 0; i < NOTCH_N_FEATURES; i++)
    value[i] = measure[i](&m);
}

/* Below 2^51 all halves are doubles. So a product that is rounded to a double is on the same side of each of them as before,
 * or on one, and then what was rounded off says where it was; a whole number over a power of ten is the double nearest to that
 * decimal, which is what reading it makes. */
double
notch_feature_as_written (NotchFeature feature, double value)
{
  static const double power[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6 };
  const int decimals = notch_feature_info[feature].decimals;
  const double scale = power[decimals], scaled = fabs (value) * scale;
  if (!isfinite (value))
    return NAN;
  if (scaled >= 0x1p51) {
    char format[16], text[DBL_MAX_10_EXP + 64];
    g_snprintf (format, sizeof format, "%%.%df", decimals);
    return g_ascii_strtod (g_ascii_formatd (text, sizeof text, format, value), NULL);
  }
  const double whole = floor (scaled), part = scaled - whole;
  const double off = part == 0.5 ? fma (fabs (value), scale, -scaled) : 0;
  const gboolean up = part > 0.5 || (part == 0.5 && (off > 0 || (off == 0 && fmod (whole, 2) != 0)));
  return copysign ((whole + up) / scale, value) + 0.0; /* + 0.0 makes -0 a 0 */
}
