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
  NOTCH_ERROR_CANCELLED,
  NOTCH_ERROR_DEVICE_FULL, /* a device has no room for the work, or gives none any more; another one may */
  NOTCH_ERROR_PAGE         /* an image has fewer pages */
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
/* The same by another option than --set, as it was given: messages name that. */
NOTCH_API gboolean notch_recipe_set_by (NotchRecipe *recipe, const char *option, const char *assignment,
                                        GError **error);
/* Whether an inspection would take the recipe: the keys fit each other, the rules of [classify] can be compiled, and the
 * limits name classes that there are. A file to compare with may yet come with an option. */
NOTCH_API gboolean notch_recipe_verify (const NotchRecipe *recipe, GError **error);
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
  const char *model;         /* trained classifier */
  const char *device;        /* "auto", "cpu", "cuda", "cuda:N" */
  const char *formats;       /* comma separated names of reports; NULL: all of the default set */
  int page;                  /* of a multi-page TIFF, from 1; 0: the first */
  int jobs;                  /* CPU threads; 0: one a core */
  int shard, n_shards;       /* this is shard `shard` (from 1) of n_shards; 0: all */
  gboolean resume;           /* leave out images that a former run finished */
  gboolean fast;             /* a quick screen: fewer filters, sources and samples */
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

/* One line a report that can be written: its name, what it is and its files; those of the default set are marked. */
NOTCH_API char *notch_reports_describe (void);

/* ---- learning -------------------------------------------------------------------------------------------------- */

/* Fields that are 0 or NULL mean the default. Borrowed for the call. */
typedef struct {
  const NotchRecipe *recipe; /* NULL: defaults and discovery */
  const char *device;        /* as in NotchInspectOptions */
  int page;                  /* of multi-page TIFFs, from 1; 0: the first */
  int jobs;                  /* CPU threads; 0: one a core */
} NotchLearnOptions;

/* Makes a golden reference from the dice of images that are known to be good: per pixel of a die the mean, the standard
 * deviation and the number of dice, without outliers, as a TIFF of three pages at `path`. The first image's die is the
 * frame that all others are registered to. The same images give the same bytes. An image that cannot be used is an error,
 * and nothing is written. `report`, if not NULL, receives a line about what was learned. */
NOTCH_API gboolean notch_learn (char **images, const char *path, const NotchLearnOptions *options,
                                NotchProgressFunc progress, gpointer data, char **report, GError **error);

/* ---- classifiers ----------------------------------------------------------------------------------------------- */

/* Told how training goes: a line for people, or NULL, and how far it is (0 to 1); FALSE ends it. */
typedef gboolean (*NotchTrainStep) (const char *line, double done, gpointer data);

/* Fields that are 0 or NULL mean the default, which is in brackets. Borrowed for the call. */
typedef struct {
  const char *classifier; /* ["forest", of wafer maps "signature"] */
  guint64 seed;           /* of the split, and of what training does by chance */
  double hold_out;      /* share of the examples that is held out, whole images of it, 0 to 0.9; negative: none [0.2] */
  double purity;        /* 0 to 1: what a class must have of those held out, else "unknown" is said [no class must] */
  int rounds;           /* at most, of training: trees a class, or epochs [as many as help] */
  int jobs;             /* CPU threads [one a core] */
  const char *device;   /* as in NotchInspectOptions */
  const char *curve;    /* [none] a PNG file for the learning curve of a network */
  gboolean resume;      /* of a network: go on where an earlier training was interrupted */
  const char *oriented; /* [none] names, commas between: these classes a network never sees mirrored or turned */
} NotchTrainOptions;

/* Trains a classifier on all of the datasets together and writes a model file. Each is a folder of `notch inspect`, with a
 * review or the truth of `notch simulate`, a reviewed defects.csv, a folder of crops a class, or wafer maps; see
 * notch-train(1). The same data and seed give the same bytes. A network keeps what it has learned in PATH.checkpoint after
 * each epoch, which is removed when training is over. `report` receives lines on what was learned and how right it is on what
 * was held out. */
NOTCH_API gboolean notch_train (char **datasets, const char *path, const NotchTrainOptions *options,
                                NotchTrainStep step, gpointer data, char **report, GError **error);
/* Classifies the defects in finished output folders of an inspection again, by another model, without a look at the images:
 * the columns class, confidence and nuisance of every defects.csv, the counts and verdicts in summary.json and summary.csv.
 * Each file is replaced as a whole. Pictures keep the classes that they were drawn with. `device` as in NotchInspectOptions;
 * where that has no room for the model, the processors apply it. `report` receives a line a folder. FALSE when a folder could
 * not be done; the others are done all the same. `tell`, if not NULL, hears of each that failed, and where the processors
 * took over. */
NOTCH_API gboolean notch_classify (char **folders, const char *model, const char *device, int jobs,
                                   void (*tell) (const char *line), char **report, GError **error);
/* One line a classifier that can be trained: its name and what it is. */
NOTCH_API char *notch_classifiers_describe (void);

/* Chooses the defects of finished output folders that are most worth a person's look: those that the model is torn about, that
 * are far from what it has learned, and that differ from each other. A table (CSV), the most telling first, at most so many:
 * folder (OUT/STEM), defect_id, x_px, y_px, class, confidence, distance, worth (0 to 1). Nothing is changed. */
NOTCH_API char *notch_choose_for_review (char **folders, const char *model, const char *device, int most, int jobs,
                                         GError **error);

/* ---- validation ------------------------------------------------------------------------------------------------ */

/* Fields that are 0 or NULL mean the default. Borrowed for the call. */
typedef struct {
  const char *output;    /* NULL, or a folder for metrics.json, confusion.csv, predictions.csv and pictures */
  const char *gate;      /* NULL, or a file of limits */
  const char *against;   /* NULL, or another model to compare with */
  const char *record;    /* NULL, or a file for the model with these figures as its validation record */
  const char *nuisances; /* NULL, or classes that are nuisances, comma separated, besides those named nuisance… */
  gboolean all;          /* count what the models have learned from, too */
  gboolean leave_out;    /* train anew without each class in turn: how well is it then known to be none? */
  guint64 seed;          /* of intervals, and of what is trained anew */
  const char *device;    /* as in NotchInspectOptions */
  int jobs;              /* threads; 0: one a processor */
} NotchValidateOptions;

/* Measures a model on examples of known class, datasets as for notch_train, without those of wafers that it, or the one that it
 * is compared with, has learned from.
 * `unmet` receives a line for each limit of the gate that is not met, NULL-terminated, for g_strfreev; `report`, if not NULL,
 * a table for people, `json` the same for machines. */
NOTCH_API gboolean notch_validate (const char *model, char **datasets, const NotchValidateOptions *options,
                                   NotchTrainStep step, gpointer data, char ***unmet, char **report, char **json,
                                   GError **error);

/* ---- devices --------------------------------------------------------------------------------------------------- */

/* One line a device: what can compute here, and which `auto` would take and why. */
NOTCH_API char *notch_devices_describe (void);
/* Whether "auto", "cpu", "cuda" or "cuda:N" can be used. */
NOTCH_API gboolean notch_device_check (const char *name, GError **error);

/* ---- speed ----------------------------------------------------------------------------------------------------- */

/* Fields that are 0 or NULL mean the default. Borrowed for the call. */
typedef struct {
  const char *device;   /* as in NotchInspectOptions */
  int size;             /* px, 1024 to 32768: side of the image that is inspected; 4096 */
  int rounds;           /* 1 to 1000; 3 */
  int jobs;             /* CPU threads; 0: one a core */
  const char *csv;      /* NULL, or where the figures go as a table */
  gboolean stages_only; /* no whole inspections */
} NotchBenchOptions;

/* Told what is being timed, and how far all is (0 to 1), several times a step; FALSE cancels. */
typedef gboolean (*NotchBenchStep) (const char *step, double done, gpointer data);

/* Times every stage of the kernels on one device, on one lane and on all, beside how fast that device copies memory,
 * classifiers on it, and whole inspections of a simulated image, which lies in the folder for temporary files meanwhile. A
 * folder for `csv` that is not there or not open to it ends it before. `report` receives the figures as text, also when only
 * the writing of `csv` fails, else NULL: nanoseconds a pixel (median, least and most of the rounds), counted bytes, and what
 * part of the copy's rate that is; on the way up to a device with memory of its own, of what pinned memory gives; of a
 * classifier nanoseconds an item. `csv` has a row for each: device, part (limit, stage, host, image, classifier), name, lanes,
 * rounds, ns_per_px, ns_per_px_least, ns_per_px_most, Mpx_per_s, bytes_per_px, GB_per_s, share_of_copy (0 to 1, above where a
 * cache holds what is worked on), ns_per_item, ns_per_item_least, ns_per_item_most, items_per_s. */
NOTCH_API gboolean notch_bench (const NotchBenchOptions *options, NotchBenchStep step, gpointer data, char **report,
                                GError **error);

/* ---- simulation and scoring ------------------------------------------------------------------------------------ */

/* What `notch simulate` draws. notch_simulate_defaults () fills it; lengths in px unless they say otherwise. Grey
 * levels are those of an 8-bit image whatever the depth. Die (0, 0) is in the leftmost column and the topmost row that
 * hold a whole die. Strings are borrowed. Ranges and units: notch_simulation_option (). */
typedef struct {
  gint64 width, height;         /* of the image */
  gint64 die_width, die_height; /* pitch; a layout from a file has its own */
  gint64 n_cols, n_rows;        /* this many dice from the origin make width and height; 0: not so */
  gint64 origin_x, origin_y;    /* first pixel of a die */
  gboolean wafer;               /* draw the round wafer with a notch; dice outside it are missing */
  int bits;                     /* 8, 12, 16; 32 is float */
  int channels;                 /* 1, or 3 for colour */
  guint64 seed;
  double pixel_um;      /* written as resolution tags; 0: none */
  const char *suite;    /* NULL, or the name of the suite that was taken */
  const char *layout;   /* "mixed", "array", "logic", "blank", or a file that is one die: an image, GDSII */
  double nm_per_px;     /* of a GDSII layout */
  const char *layers;   /* of it: "68/20=120,69/20=180", lowest first; NULL: all */
  double blur;          /* sigma of the optics */
  double rotation_mrad; /* of the whole image, clockwise as shown */
  /* what differs from die to die: sigmas */
  double jitter;                                 /* shift */
  double die_rotation_mrad, die_scale_ppm;       /* about its middle */
  double warp;                                   /* each of four modes inside a die */
  double gain, focus;                            /* fractions of contrast and blur */
  double cd;                                     /* by which every edge moves outwards */
  double ler, ler_length;                        /* roughness of edges and its correlation length */
  double grain;                                  /* grey levels: texture of a pixel or two on the pattern */
  double vignetting, film;                       /* fractions: fall-off to the corners, film's waves from the middle */
  double swath, swath_shift, swath_gain;         /* width of the swaths the image is joined from, 0: one; sigmas */
  double vibration, vibration_period;            /* amplitude and period along y of a shift along x */
  double read_noise;                             /* sigma, grey levels */
  double shot_noise;                             /* variance a grey level */
  double prnu, column_offset;                    /* of a line camera's pixels: sigma as a fraction, in grey levels */
  double hot_pixels;                             /* fraction of pixels */
  double saturation;                             /* grey level beyond which the sensor sees nothing more */
  int n_defects;                                 /* planted one by one */
  double snr_min, snr_max;                       /* matched SNR, uniform between */
  const char *classes;                           /* comma separated, "all", or NULL: the six basic ones that fit */
  int n_repeaters, n_clusters, n_long_scratches; /* besides */
  gint64 reticle_cols, reticle_rows;             /* dice of a field: repeaters are in one of them */
  int n_nuisances;
  int n_maps;                              /* wafer maps; 0: an image */
  const char *signatures;                  /* of the maps: comma separated, "all", "mixed" */
  double map_side_min, map_side_max;       /* dice across, as likely in each octave */
  double map_density_min, map_density_max; /* part of the dice that fail whatever the signature */
  double map_edge_min, map_edge_max;       /* how much more of them at the wafer's edge, times */
  const char *clean;                       /* NULL, or where the image without noise and defects goes */
  int clean_bits;                          /* its depth; 0: the image's */
  const char *mask;                        /* NULL, or where the image of ids goes */
} NotchSimulation;

NOTCH_API void notch_simulate_defaults (NotchSimulation *simulation);
/* Sets what the command's option --NAME sets. FALSE when there is no such option or the value is none for it. */
NOTCH_API gboolean notch_simulation_set (NotchSimulation *simulation, const char *name, const char *value,
                                         GError **error);
/* Sets what a suite consists of, and nothing else. */
NOTCH_API gboolean notch_simulation_take_suite (NotchSimulation *simulation, const char *name, GError **error);
/* The options by index, from 0: name, the sign for its value or NULL where it takes none, and a line with unit, range
 * and default (to be freed). FALSE behind the last. */
NOTCH_API gboolean notch_simulation_option (int index, const char **name, const char **sign, char **help);
/* Lines of suites: name, what it is, what it sets. */
NOTCH_API char *notch_simulation_suites (void);
/* Writes the image (TIFF), the truth about its defects (id, type, die_row, die_col, x, y: centroid, w, h: extent,
 * amp_sigma: signed peak over the noise there, snr, contrast: signed peak in the file's grey levels, area_px, box_x,
 * box_y: first pixel of the extent, nuisance: 0 or 1, group: of repeaters, clusters and pieces of a long scratch, or 0)
 * and about its dice (die_col, die_row, x_px, y_px: corner by the lattice, dx, dy, gain, focus, whole,
 * rotation_mrad, scale_ppm, cd_px). Beside the truth goes the same name with .json: size, depth, noise. NULL for one of
 * them leaves it out, and beside a device or a pipe there is nothing. The same simulation gives the same bytes. */
NOTCH_API gboolean notch_simulate (const NotchSimulation *simulation, const char *image_path, const char *truth_path,
                                   const char *dice_path, GError **error);
/* Writes n_maps wafer maps as a table: index, split (empty), class, width and height (dice), map: width x height digits row
 * by row, 0 no die, 1 pass, 2 fail. The same simulation gives the same bytes. */
NOTCH_API gboolean notch_simulate_maps (const NotchSimulation *simulation, const char *path, GError **error);

/* A truth file and what was found of it. */
typedef struct {
  const char *truth, *defects; /* paths */
} NotchScorePair;
typedef struct {
  double match_px;     /* a detection may be max (match_px, size / 2) from the truth's box; 0: 2 */
  double megapixels;   /* of an image, for rates; 0: not known */
  double snr_min;      /* count only defects of at least this matched SNR; what is found of others is no false alarm */
  const char *classes; /* likewise only these, comma separated; NULL: all */
  double promised;     /* false alarms an image that were promised, to be held against what came; 0: no promise */
  const char *froc;    /* NULL, or a CSV file for capture against false alarms */
  const char *plot;    /* NULL, or a PNG file for that and capture against SNR */
  /* NULL, or a folder: every image is inspected again with its clean image as reference, its noise known, and the same
   * recipe; what that finds is the most that any reference could. Needs the JSON file beside the truth. */
  const char *oracle;
  const char *recipe; /* of the oracle; NULL: recipe.ini beside the defects, or the defaults */
  const char *device; /* of the oracle, as for an inspection */
  int jobs;
} NotchScoreOptions;
typedef struct {
  int n_truth, n_captured, n_detections, n_false;
  int n_nuisance, n_nuisance_found; /* harmless rows of the truth, and those that were found */
  int n_split;                      /* detections beyond the first on a captured defect */
  int n_class_right;                /* captured defects with the truth's class; -1: the names have nothing in common */
  double localisation_px, localisation_all_px; /* rms, of points and blobs (12 px at most) and of all; NAN: none */
  double snr50, snr90;                         /* where half and 90 % are captured; NAN: not to be had */
  double oracle_snr90;                         /* the oracle's; NAN: none, or not to be had */
} NotchScore;
/* Compares defect lists (x_px, y_px and, where they have them, defect_id, peak_snr, class, width_px, height_px) with the
 * truths (x, y and, where they have them, id, type, w, h, snr, area_px, box_x, box_y, nuisance), all n pairs summed.
 * `report` receives a text table: capture per class and SNR with Wilson intervals, SNR50 and SNR90 per group with
 * bootstrap intervals, false alarms, splits, localisation. `json`, if not NULL, the same for machines. Errors name the
 * file and the line. */
NOTCH_API gboolean notch_score (const NotchScorePair *pair, int n, const NotchScoreOptions *options, NotchScore *score,
                                char **report, char **json, GError **error);

G_END_DECLS
