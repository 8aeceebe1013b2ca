/* net-train.c - epochs of small steps, on images that are drawn from decks, a deck a class
 *
 * Whatever is by chance depends on the seed, the epoch and the place in it, so that a run that is resumed goes on as the one
 * that was ended would have. */
#include "inspect/classify/net.h"

#include "inspect/classify/engine.h"
#include "inspect/compute/parallel.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

enum {
  PRINTED = 1000,        /* images that a fingerprint is of, at most */
  CHECKPOINT_VERSION = 2 /* of what a checkpoint has; 1 had no curve */
};

/* Images of one class. */
typedef struct {
  GArray *image; /* gsize, in their order */
  gsize *turn;   /* the same, in the order in which they are drawn */
  guint next;
  double share; /* of what is drawn, with that of the decks before */
} Deck;

/* Weights that may be gone back to. */
typedef struct {
  float *parameter, *running;
} Weights;

typedef struct {
  NotchNet *net;
  const NotchNetImages *images, *held;
  NotchNetTraining how; /* with its defaults */
  const NotchCompute *compute;
  int jobs;
  NotchEngine *engine;
  gsize classes, steps; /* of an epoch */
  GPtrArray *deck;
  gsize *order;              /* the epoch's images */
  float *image, *target;     /* of a step */
  float *probability, *loss; /* likewise, what came out */
  gsize first;               /* place in the epoch of the step's first image */
  int epoch;                 /* done */
  int best_epoch;            /* 0: none yet */
  double best_loss;
  Weights best;
  GArray *curve; /* see NotchNetTraining */
  char *print;   /* see fingerprint; with a checkpoint */
} Trainer;

static void
free_deck (gpointer data)
{
  Deck *deck = data;
  g_array_unref (deck->image);
  g_free (deck->turn);
  g_free (deck);
}

static void
clear_trainer (Trainer *t)
{
  notch_engine_free (t->engine);
  g_clear_pointer (&t->net->engine, notch_engine_free); /* the device may be closed once training is over */
  if (t->deck)
    g_ptr_array_unref (t->deck);
  g_free (t->order);
  g_free (t->image);
  g_free (t->target);
  g_free (t->probability);
  g_free (t->loss);
  g_free (t->best.parameter);
  g_free (t->best.running);
  g_clear_pointer (&t->curve, g_array_unref);
  g_free (t->print);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Trainer, clear_trainer)

/* ---- decks ------------------------------------------------------------------------------------------------------- */

/* A deck a class that has images. */
static void
make_decks (Trainer *t)
{
  g_autofree Deck **of_class = g_new0 (Deck *, t->classes);
  t->deck = g_ptr_array_new_with_free_func (free_deck);
  for (gsize i = 0; i < t->images->n; i++) {
    Deck **deck = &of_class[t->images->label[i]];
    if (!*deck) {
      *deck = g_new0 (Deck, 1);
      (*deck)->image = g_array_new (FALSE, FALSE, sizeof (gsize));
      g_ptr_array_add (t->deck, *deck);
    }
    g_array_append_val ((*deck)->image, i);
  }
  double sum = 0;
  for (guint d = 0; d < t->deck->len; d++) {
    Deck *deck = t->deck->pdata[d];
    deck->turn = g_new (gsize, deck->image->len);
    deck->share = sum += pow (deck->image->len, 1 - t->how.balance);
  }
  for (guint d = 0; d < t->deck->len; d++)
    ((Deck *) t->deck->pdata[d])->share /= sum;
}

/* Every image of a deck has its turn before one has another (Fisher and Yates). */
static void
shuffle (Deck *deck, NotchRandom *random)
{
  for (guint n = deck->image->len; n > 1; n--) {
    guint other = (guint) notch_random_below (random, (int) n);
    gsize swap = deck->turn[n - 1];
    deck->turn[n - 1] = deck->turn[other], deck->turn[other] = swap;
  }
  deck->next = 0;
}

static void
order_epoch (Trainer *t)
{
  NotchRandom random = notch_random_at (t->how.seed, NOTCH_STREAM_DECK, t->epoch, 0);
  for (guint d = 0; d < t->deck->len; d++) {
    Deck *deck = t->deck->pdata[d];
    memcpy (deck->turn, deck->image->data, deck->image->len * sizeof *deck->turn);
    shuffle (deck, &random);
  }
  for (gsize i = 0; i < t->steps * (gsize) t->how.batch; i++) {
    double place = notch_random_unit (&random);
    guint d = 0;
    while (d + 1 < t->deck->len && place >= ((Deck *) t->deck->pdata[d])->share)
      d++;
    Deck *deck = t->deck->pdata[d];
    if (deck->next == deck->image->len)
      shuffle (deck, &random);
    t->order[i] = deck->turn[deck->next++];
  }
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* What the network is to say of an image: its class, softened (Szegedy et al. 2016). */
static void
set_target (const Trainer *t, gsize i, float *target)
{
  double soft = t->how.smoothing;
  for (gsize c = 0; c < t->classes; c++)
    target[c] = (float) ((t->images->label[i] == (int) c) * (1 - soft) + 1.0 / (double) t->classes * soft);
}

static void
draw_slice (gpointer data, int slice)
{
  const Trainer *t = data;
  gsize pixels = notch_net_pixels (&t->net->shape);
  g_autofree float *scratch = g_new (float, pixels);
  for (gsize k = (gsize) slice * NOTCH_NET_SLICE; k < (gsize) (slice + 1) * NOTCH_NET_SLICE; k++) {
    gsize place = t->first + k, i = t->order[place];
    NotchRandom random = notch_random_at (t->how.seed, NOTCH_STREAM_AUGMENT, t->epoch, (gint64) place);
    notch_net_draw (&t->net->shape, t->images, i, &random, scratch, t->image + k * pixels);
    set_target (t, i, t->target + k * t->classes);
  }
}

/* How large a step is: it grows over the first tenth, but no longer than an epoch, and falls as half a cosine (Loshchilov and
 * Hutter 2017). */
static double
rate_at (const Trainer *t, gsize step)
{
  double all = (double) t->how.epochs * (double) t->steps, warm = MIN ((double) t->steps, all / 10);
  double at = (double) step;
  if (at < warm)
    return t->how.rate * (at + 1) / (warm + 1);
  return t->how.rate * 0.5 * (1 + cos (G_PI * (at - warm) / (all - warm)));
}

/* Is the most probable class the image's? */
static gboolean
is_right (const Trainer *t, const NotchNetImages *images, gsize i, const float *probability)
{
  gsize best = 0;
  for (gsize c = 1; c < t->classes; c++)
    if (probability[c] > probability[best])
      best = c;
  return images->label[i] == (int) best;
}

/* Learns from an epoch's images. */
static gboolean
run_epoch (Trainer *t, NotchNetEpoch *is, GError **error)
{
  gsize batch = (gsize) t->how.batch;
  double loss = 0, right = 0;
  order_epoch (t);
  for (gsize s = 0; s < t->steps; s++) {
    gsize step = (gsize) t->epoch * t->steps + s;
    t->first = s * batch;
    notch_parallel (t->jobs, (int) (batch / NOTCH_NET_SLICE), draw_slice, t);
    if (!notch_engine_derive (t->engine, t->image, t->target, t->loss, t->probability, error)
        || !notch_engine_step (t->engine, rate_at (t, step), t->how.decay, (gint64) step + 1, error))
      return FALSE;
    for (gsize k = 0; k < batch; k++) {
      loss += (double) t->loss[k];
      right += is_right (t, t->images, t->order[t->first + k], t->probability + k * t->classes);
    }
  }
  is->loss = loss / (double) t->steps;
  is->accuracy = right / (double) (t->steps * batch);
  if (isfinite (is->loss))
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "training diverged in epoch %d; learn with smaller steps",
               t->epoch + 1);
  return FALSE;
}

/* ---- what is held out -------------------------------------------------------------------------------------------- */

static gboolean
judge_held (Trainer *t, NotchNetEpoch *is, GError **error)
{
  is->held_loss = is->held_accuracy = NAN;
  if (!t->held)
    return TRUE;
  g_autofree float *probability = g_new (float, t->held->n * t->classes);
  if (!notch_net_apply (t->net, t->held, t->compute, probability, NULL, error))
    return FALSE;
  double loss = 0, right = 0;
  for (gsize i = 0; i < t->held->n; i++) {
    loss -= log (MAX ((double) probability[i * t->classes + (gsize) t->held->label[i]], 1e-7));
    right += is_right (t, t->held, i, probability + i * t->classes);
  }
  is->held_loss = loss / (double) t->held->n;
  is->held_accuracy = right / (double) t->held->n;
  return TRUE;
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

/* A digest of what makes this training what it is, of many images a share: another one's checkpoint is not gone on with. */
static char *
fingerprint (const Trainer *t)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  const NotchNetShape *shape = &t->net->shape;
  g_autofree char *text = g_strdup_printf (
      "%d %d %d %d %d; %" G_GUINT64_FORMAT " %d %d %d %" G_GSIZE_FORMAT " %.17g %.17g %.17g %.17g; %" G_GSIZE_FORMAT,
      shape->channels, shape->side, shape->n_blocks, shape->embedding, shape->classes, t->how.seed, t->how.epochs,
      t->how.patience, t->how.batch, t->how.per_epoch, t->how.rate, t->how.decay, t->how.smoothing, t->how.balance,
      t->images->n); /* lint: allow */
  g_checksum_update (sum, (const guchar *) text, -1);
  if (t->how.manner)
    g_checksum_update (sum, (const guchar *) t->how.manner, -1);
  for (int b = 0; b < shape->n_blocks; b++)
    g_checksum_update (sum, (const guchar *) &shape->block[b], sizeof shape->block[b]);
  g_checksum_update (sum, (const guchar *) t->images->label, (gssize) (t->images->n * sizeof (int)));
  gsize pixels = notch_net_pixels (shape);
  g_autofree float *scratch = g_new (float, pixels), *image = g_new (float, pixels);
  for (gsize i = 0; i < t->images->n; i += t->images->n / PRINTED + 1) {
    notch_net_draw (shape, t->images, i, NULL, scratch, image);
    g_checksum_update (sum, (const guchar *) image, (gssize) (pixels * sizeof *image));
  }
  return g_strdup (g_checksum_get_string (sum));
}

static const char *const state_name[NOTCH_ENGINE_N_STATES] = { "parameter", "gradient", "mean", "square", "running" };

static void
add_section (NotchModel *model, const char *name, gpointer data, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new_take (data, size);
  notch_model_set_section (model, name, bytes);
}

/* A model file of a purpose of its own; its numbers are as this machine has them. */
static gboolean
write_checkpoint (Trainer *t, GError **error)
{
  g_autoptr (NotchModel) model = notch_model_new ("checkpoint", "net");
  notch_model_add_class (model, "unfinished");
  json_object_set_int_member (model->settings, "version", CHECKPOINT_VERSION);
  json_object_set_string_member (model->settings, "fingerprint", t->print);
  json_object_set_int_member (model->settings, "epoch", t->epoch);
  json_object_set_int_member (model->settings, "best_epoch", t->best_epoch);
  const gsize curve = t->curve->len * sizeof (double);
  add_section (model, "curve", g_memdup2 (t->curve->data, curve), curve);
  add_section (model, "best.loss", g_memdup2 (&t->best_loss, sizeof t->best_loss), sizeof t->best_loss);
  for (int s = 0; s < NOTCH_ENGINE_N_STATES; s++) {
    gsize size = notch_engine_state_size (t->net, s) * sizeof (float);
    g_autofree float *state = g_malloc (size);
    if (!notch_engine_get_state (t->engine, s, state, error))
      return FALSE;
    add_section (model, state_name[s], g_steal_pointer (&state), size);
  }
  gsize parameters = t->net->n_parameters * sizeof (float), running = t->net->n_running * sizeof (float);
  add_section (model, "best.parameter", g_memdup2 (t->best.parameter, parameters), parameters);
  add_section (model, "best.running", g_memdup2 (t->best.running, running), running);
  return notch_model_save (model, t->how.checkpoint, error);
}

static gboolean
read_section (const NotchModel *model, const char *name, gpointer to, gsize size, GError **error)
{
  GBytes *bytes = notch_model_section (model, name, error);
  if (!bytes)
    return FALSE;
  if (g_bytes_get_size (bytes) != size)
    return notch_model_refuse (model, error, "section %s is of another size; remove the file to begin anew", name);
  memcpy (to, g_bytes_get_data (bytes, NULL), size);
  return TRUE;
}

/* Goes on where a checkpoint is; TRUE as well where there is none. */
static gboolean
resume (Trainer *t, GError **error)
{
  if (!t->how.checkpoint || !t->how.resume || !g_file_test (t->how.checkpoint, G_FILE_TEST_EXISTS))
    return TRUE;
  g_autoptr (NotchModel) model = notch_model_load (t->how.checkpoint, error);
  if (!model)
    return FALSE;
  const char *found = json_object_get_string_member_with_default (model->settings, "fingerprint", "");
  const gint64 version = json_object_get_int_member_with_default (model->settings, "version", 1);
  const gint64 epoch = json_object_get_int_member_with_default (model->settings, "epoch", 0);
  if (strcmp (model->purpose, "checkpoint") == 0 && version != CHECKPOINT_VERSION)
    return notch_model_refuse (model, error,
                               "it is a checkpoint of version %" G_GINT64_FORMAT
                               ", and this program goes on from version "
                               "%d; remove it to begin anew, or use the program that wrote it",
                               version, CHECKPOINT_VERSION);
  if (strcmp (model->purpose, "checkpoint") != 0 || strcmp (found, t->print) != 0 || epoch < 1 || epoch > t->how.epochs)
    return notch_model_refuse (
        model, error,
        "it is no checkpoint of this training: data, shape or options differ; remove it to begin "
        "anew");
  t->epoch = (int) epoch;
  g_array_set_size (t->curve, (guint) t->epoch * NOTCH_NET_FIGURES);
  t->best_epoch = (int) json_object_get_int_member_with_default (model->settings, "best_epoch", 0);
  for (int s = 0; s < NOTCH_ENGINE_N_STATES; s++) {
    gsize n = notch_engine_state_size (t->net, s);
    g_autofree float *state = g_new (float, n);
    if (!read_section (model, state_name[s], state, n * sizeof *state, error)
        || !notch_engine_set_state (t->engine, s, state, error))
      return FALSE;
  }
  return read_section (model, "curve", t->curve->data, t->curve->len * sizeof (double), error)
         && read_section (model, "best.loss", &t->best_loss, sizeof t->best_loss, error)
         && read_section (model, "best.parameter", t->best.parameter, t->net->n_parameters * sizeof (float), error)
         && read_section (model, "best.running", t->best.running, t->net->n_running * sizeof (float), error);
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

static NotchNetTraining
with_defaults (const NotchNetTraining *how, gsize n)
{
  NotchNetTraining all = how ? *how : (NotchNetTraining){ 0 };
  gsize slices = (n + NOTCH_NET_SLICE - 1) / NOTCH_NET_SLICE;
  all.epochs = all.epochs > 0 ? all.epochs : 30;
  all.patience = all.patience == 0 ? 8 : all.patience;
  all.batch = all.batch > 0 ? MAX (all.batch / NOTCH_NET_SLICE, 1) : 8;
  all.batch = (int) MIN ((gsize) all.batch, slices) * NOTCH_NET_SLICE;
  all.per_epoch = all.per_epoch > 0 ? all.per_epoch : n;
  all.rate = all.rate > 0 ? all.rate : 1e-3;
  all.decay = all.decay > 0 ? all.decay : all.decay < 0 ? 0 : 1e-2;
  all.smoothing = all.smoothing > 0 ? all.smoothing : all.smoothing < 0 ? 0 : 0.05;
  all.balance = all.balance > 0 ? all.balance : all.balance < 0 ? 0 : 1;
  return all;
}

static gboolean
begin (Trainer *t, GError **error)
{
  gsize batch = (gsize) t->how.batch, pixels = notch_net_pixels (&t->net->shape);
  for (gsize i = 0; i < t->images->n; i++)
    g_return_val_if_fail (t->images->label[i] >= 0 && (gsize) t->images->label[i] < t->classes, FALSE);
  t->steps = MAX ((t->how.per_epoch + batch / 2) / batch, 1);
  make_decks (t);
  t->order = g_new (gsize, t->steps * batch);
  t->image = g_try_new (float, batch *pixels);
  t->target = g_new (float, batch * t->classes);
  t->probability = g_new (float, batch * t->classes);
  t->loss = g_new (float, batch);
  t->best.parameter = g_memdup2 (t->net->parameter, t->net->n_parameters * sizeof (float));
  t->best.running = g_memdup2 (t->net->running, t->net->n_running * sizeof (float));
  t->best_loss = INFINITY;
  t->curve = t->how.curve ? g_array_ref (t->how.curve) : g_array_new (FALSE, FALSE, sizeof (double));
  g_array_set_size (t->curve, 0);
  if (!t->image)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_DEVICE, "out of memory for images of a network"), FALSE;
  t->print = t->how.checkpoint ? fingerprint (t) : NULL;
  t->engine = notch_engine_new (t->net, t->compute, t->how.batch, NOTCH_ENGINE_LEARNS, error);
  return t->engine && resume (t, error);
}

/* Brings the weights home, and keeps them where they are the best. */
static gboolean
end_epoch (Trainer *t, NotchNetEpoch *is, GError **error)
{
  if (!notch_engine_get_state (t->engine, NOTCH_ENGINE_PARAMETER, t->net->parameter, error)
      || !notch_engine_get_state (t->engine, NOTCH_ENGINE_RUNNING, t->net->running, error)
      || !notch_net_changed (t->net, error) || !judge_held (t, is, error))
    return FALSE;
  const double figure[NOTCH_NET_FIGURES] = { is->loss, is->accuracy, is->held_loss, is->held_accuracy };
  g_array_append_vals (t->curve, figure, NOTCH_NET_FIGURES);
  t->epoch++;
  is->best = !t->held || is->held_loss < t->best_loss;
  if (is->best) {
    t->best_epoch = t->epoch;
    t->best_loss = is->held_loss;
    memcpy (t->best.parameter, t->net->parameter, t->net->n_parameters * sizeof (float));
    memcpy (t->best.running, t->net->running, t->net->n_running * sizeof (float));
  }
  return !t->how.checkpoint || write_checkpoint (t, error);
}

/* The best weights, as they are kept. */
static gboolean
take_best (Trainer *t, GError **error)
{
  memcpy (t->net->parameter, t->best.parameter, t->net->n_parameters * sizeof (float));
  memcpy (t->net->running, t->best.running, t->net->n_running * sizeof (float));
  notch_net_round (t->net);
  if (t->how.checkpoint && g_unlink (t->how.checkpoint) != 0 && errno != ENOENT) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s: cannot be removed: %s", t->how.checkpoint,
                 g_strerror (errno));
    return FALSE;
  }
  return TRUE;
}

gboolean
notch_net_train (NotchNet *net, const NotchNetImages *images, const NotchNetImages *held_out,
                 const NotchNetTraining *how, const NotchCompute *compute, GError **error)
{
  g_return_val_if_fail (images->n > 0 && images->label, FALSE);
  g_auto (Trainer) t = { .net = net, .images = images, .compute = compute };
  t.held = held_out && held_out->n > 0 ? held_out : NULL;
  t.how = with_defaults (how, images->n);
  t.classes = (gsize) net->shape.classes;
  t.jobs = notch_compute_jobs (compute);
  if (!begin (&t, error))
    return FALSE;
  g_autoptr (GTimer) timer = g_timer_new ();
  while (t.epoch < t.how.epochs && (t.how.patience < 0 || !t.held || t.epoch - t.best_epoch < t.how.patience)) {
    NotchNetEpoch is = { .epoch = t.epoch + 1, .epochs = t.how.epochs };
    if (!run_epoch (&t, &is, error) || !end_epoch (&t, &is, error))
      return FALSE;
    is.seconds = g_timer_elapsed (timer, NULL);
    if (t.how.step && !t.how.step (&is, t.how.data)) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED, "interrupted after epoch %d of %d%s", t.epoch,
                   t.how.epochs, t.how.checkpoint ? "; --resume goes on from there" : "");
      return FALSE;
    }
  }
  return take_best (&t, error);
}
