/* notch.h - the public interface of libnotch
 *
 * Functions that can fail return FALSE or NULL and fill `error` (domain NOTCH_ERROR). Strings that are returned are
 * freed with g_free unless they are const. Nothing here prints or exits.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#ifndef NOTCH_API
#define NOTCH_API
#endif

/* ---- errors and versions --------------------------------------------------------------------------------------- */

#define NOTCH_ERROR (notch_error_quark ())
NOTCH_API GQuark notch_error_quark (void);

typedef enum {
  NOTCH_ERROR_USAGE,   /* the caller asked for something that makes no sense */
  NOTCH_ERROR_RECIPE,  /* a recipe is wrong: file, line, key and range are in the message */
  NOTCH_ERROR_READ,    /* an input cannot be read */
  NOTCH_ERROR_WRITE,   /* an output cannot be written */
  NOTCH_ERROR_INSPECT, /* an image was read but cannot be inspected (no dice, nothing to compare) */
  NOTCH_ERROR_DEVICE,  /* no such device, or it failed */
  NOTCH_ERROR_CANCELLED
} NotchError;

/* "0.1.0" */
NOTCH_API const char *notch_version (void);
/* Several lines: version, devices built in, versions of the libraries in use. */
NOTCH_API char *notch_version_long (void);

/* ---- recipes --------------------------------------------------------------------------------------------------- */

typedef struct NotchRecipe NotchRecipe;

NOTCH_API NotchRecipe *notch_recipe_new (void); /* all defaults */
NOTCH_API NotchRecipe *notch_recipe_copy (const NotchRecipe *recipe);
NOTCH_API void notch_recipe_free (NotchRecipe *recipe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchRecipe, notch_recipe_free)

/* Reads an ini file. The error names the file, the line, the key and what it may be. */
NOTCH_API NotchRecipe *notch_recipe_load (const char *path, GError **error);
/* "group.key=value", as on the command line. */
NOTCH_API gboolean notch_recipe_set (NotchRecipe *recipe, const char *assignment, GError **error);
/* The whole recipe as an ini file: every key with a one-line comment, its unit and range. */
NOTCH_API char *notch_recipe_to_string (const NotchRecipe *recipe);
NOTCH_API gboolean notch_recipe_save (const NotchRecipe *recipe, const char *path, GError **error);
/* The table of keys as rows of a man page (man (7) markup), for notch-recipe(5). */
NOTCH_API char *notch_recipe_describe (void);
/* Completes a recipe from an image: die grid, wafer outline, pixel size. `report` tells in lines what was found and
 * how sure it is. */
NOTCH_API NotchRecipe *notch_recipe_discover (const char *image_path, int page, const NotchRecipe *base, char **report,
                                              GError **error);

/* ---- inspection ------------------------------------------------------------------------------------------------ */

typedef enum { NOTCH_VERDICT_PASS, NOTCH_VERDICT_REJECT, NOTCH_VERDICT_TROUBLE } NotchVerdict;

/* What a run is asked for; fields that are 0 or NULL mean the default. Borrowed for the call. */
typedef struct {
  const NotchRecipe *recipe; /* NULL: defaults and discovery */
  const char *output;        /* folder, "notch-out" */
  const char *reference;     /* template image */
  const char *golden;        /* golden reference */
  const char *device;        /* "auto", "cpu", "cuda", "cuda:N" */
  const char *formats;       /* comma separated names of reports; NULL: all of the default set */
  int page;                  /* of a multi-page TIFF, from 1; 0: the first */
  int jobs;                  /* CPU threads; 0: one a core */
  int shard, n_shards;       /* this is shard `shard` (from 1) of n_shards; 0: all */
  gboolean resume;           /* leave out images that a former run finished */
  gboolean fast;             /* the filters of a quick screen only */
} NotchInspectOptions;

/* How far an image is. Called from the thread that called notch_inspect_run; return FALSE to cancel. */
typedef struct {
  const char *image;    /* path */
  int index, n_images;  /* from 0 */
  const char *step;     /* "reading", "survey", "inspecting", "reports" */
  double done;          /* 0 to 1, of this image */
  gint64 pixels_done;   /* of the whole run */
  gint64 pixels_total;  /* of the images opened so far, and guessed for the rest */
  const char *finished; /* NULL, or one line about the image that was just finished */
  const char *warning;  /* NULL, or one line that the user must see: "FILE: what and what to do" */
  NotchVerdict verdict; /* of the finished image */
} NotchProgress;
typedef gboolean (*NotchProgressFunc) (const NotchProgress *progress, gpointer data);

/* The counts of a run. */
typedef struct {
  int n_images, n_pass, n_reject, n_trouble, n_skipped;
  gint64 n_defects;
} NotchRunSummary;

/* Inspects every image and writes its reports. An image that fails is counted and told through `progress`, and the run
 * goes on; FALSE only when the run as a whole cannot go on (usage, output folder, device, cancelled). `json` receives
 * the run's summary as a JSON object. */
NOTCH_API gboolean notch_inspect_run (char **images, const NotchInspectOptions *options, NotchProgressFunc progress,
                                      gpointer data, NotchRunSummary *summary, char **json, GError **error);

/* ---- devices --------------------------------------------------------------------------------------------------- */

/* One line a device: what can compute here, and which `auto` would take and why. */
NOTCH_API char *notch_devices_describe (void);

/* ---- simulation and scoring ------------------------------------------------------------------------------------ */

/* What `notch simulate` draws. notch_simulate_defaults () fills it; lengths in px unless they say otherwise. */
typedef struct {
  gint64 width, height;         /* of the image */
  gint64 die_width, die_height; /* pitch */
  gint64 origin_x, origin_y;    /* of die (0, 0)'s corner */
  gboolean wafer;               /* draw the round wafer with a notch; dice outside it are missing */
  int bits;                     /* 8, 12, 16; 32 is float */
  guint64 seed;
  double pixel_um;                /* written as resolution tags */
  double blur;                    /* sigma of the optics */
  double jitter;                  /* sigma of each die's shift */
  double rotation_mrad;           /* of the whole image */
  double gain, focus, vignetting; /* fractions: die to die gain, die to die blur, fall-off to the corner */
  double read_noise;              /* grey levels of an 8-bit image; scaled with bits */
  double shot_noise;              /* variance a grey level, likewise */
  const char *layout;             /* "mixed", "array", "logic", "blank", or an image file that is one die */
  int n_defects;                  /* planted */
  double snr_min, snr_max;        /* matched SNR, uniform between */
  const char *classes;            /* comma separated: particle,pit,scratch,bridge,open,stain; NULL: all */
  const char *clean;              /* NULL, or where to write the image without noise and defects */
} NotchSimulation;

NOTCH_API void notch_simulate_defaults (NotchSimulation *simulation);
/* Writes the image (TIFF), TRUTH.csv and, beside it, DICE.csv with every die's true shift. */
NOTCH_API gboolean notch_simulate (const NotchSimulation *simulation, const char *image_path, const char *truth_path,
                                   const char *dice_path, GError **error);

typedef struct {
  double match_px;   /* a detection matches within max (match_px, size / 2) of the truth; default 2 */
  double megapixels; /* of the image, for rates; 0: not known */
} NotchScoreOptions;
typedef struct {
  int n_truth, n_captured, n_false, n_split;
  double localisation_px; /* rms */
} NotchScore;
/* Compares a defect list with the truth. `report` receives a text table: capture per class and SNR with Wilson
 * intervals, SNR50 and SNR90, false alarms, splits, localisation. `json`, if not NULL, the same for machines. */
NOTCH_API gboolean notch_score (const char *truth_path, const char *defects_path, const NotchScoreOptions *options,
                                NotchScore *score, char **report, char **json, GError **error);

G_END_DECLS
