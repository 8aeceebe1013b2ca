/* model.h - a trained classifier as one file
 *
 *   notch model 1 HEADER_BYTES FILE_BYTES\n       text; numbers in decimal
 *   HEADER_BYTES of JSON                          see NotchModel; "sections": name, offset and size of each
 *   sections                                      each from a multiple of 64 bytes of the file
 *   32 bytes                                      SHA-256 of all before
 *
 * What is binary in a section is little-endian. A file may lie about itself: everything is checked, and what does not fit
 * is refused in one line that names the file. */
#pragma once

#include <json-glib/json-glib.h>

#include "inspect/detect/result.h"

/* Grows whenever a column of a defect gets another meaning, so that a model that learned the old one is refused;
 * tests/columns.sh tells when. */
enum { NOTCH_FEATURES_VERSION = 1 };

/* More than any probability: nothing is a nuisance. */
#define NOTCH_NO_NUISANCE 2

/* What a model's file begins with. */
#define NOTCH_MODEL_MAGIC "notch model "

typedef struct {
  char *path;            /* that it was loaded from, or NULL */
  char *hash;            /* SHA-256 of the file, 64 hexadecimal digits; NULL before it is saved or loaded */
  char *purpose;         /* "defects": classes of defects; "signature": of wafer maps */
  char *classifier;      /* its row in the table of classifiers */
  GPtrArray *class_name; /* char * */
  GPtrArray *feature;    /* char *: columns that it looks at, in its order; of a network none */
  double temperature;    /* logarithms of probabilities are divided by it before they count; 1: as they come */
  double *threshold;     /* class_name->len: what is less probable than this is "unknown"; 0 to 1 */
  double
      nuisance; /* what is this likely to be of any class of nuisances is flagged; above 1: nothing; NAN: what is called one */
  JsonObject *settings;   /* the classifier's own: shape of the input, normalisation */
  JsonObject *training;   /* record: data, counts, seed, rounds, date; or NULL */
  JsonObject *validation; /* record of `notch validate`, or NULL */
  GPtrArray *section;     /* NotchSection */
} NotchModel;

typedef struct {
  char *name;
  GBytes *bytes;
} NotchSection;

NotchModel *notch_model_new (const char *purpose, const char *classifier);
void notch_model_free (NotchModel *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchModel, notch_model_free)

/* Adds a class; its threshold is 0. */
void notch_model_add_class (NotchModel *model, const char *name);
/* Replaces or adds a section. */
void notch_model_set_section (NotchModel *model, const char *name, GBytes *bytes);
/* A section, borrowed. The error names file and section where there is none. */
GBytes *notch_model_section (const NotchModel *model, const char *name, GError **error);
/* Is a class of nuisances? Those are whose name begins so. */
gboolean notch_is_nuisance (const char *class_name);
/* The index of a class, -1 where it is none of the model's. */
int notch_model_class (const NotchModel *model, const char *name);

/* Which columns of a defect the features are, one each; freed with g_free. The error names the first that is none. */
int *notch_model_columns (const NotchModel *model, GError **error);
/* Fills the error with a line that begins with the model's file; FALSE. */
gboolean notch_model_refuse (const NotchModel *model, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* The file's bytes, a function of the model alone; sets `hash`. NULL where they would be 4 GiB or more. */
GBytes *notch_model_to_bytes (NotchModel *model, GError **error);
/* `path` stands in errors. */
NotchModel *notch_model_from_bytes (GBytes *bytes, const char *path, GError **error);
/* Writes aside and renames; sets `hash` and `path`. */
gboolean notch_model_save (NotchModel *model, const char *path, GError **error);
/* The model that is built in for "defects", or for "signature". */
NotchModel *notch_model_shipped (const char *purpose, GError **error);
/* Reads a model file, or what XGBoost saved as JSON
 * (booster.save_model ("m.json"), with feature_names; the attribute `classes`, names with commas between, tells the classes,
 * else they are class_0, class_1, …). */
NotchModel *notch_model_load (const char *path, GError **error);
