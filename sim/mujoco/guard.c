//go:build mujoco && cgo

#include "guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The call that this thread is in: where to land after an error, and where to leave the
// message.
static _Thread_local jmp_buf* landing;
static _Thread_local vla_simulation* current;

// Loading changes the library's handlers, and MuJoCo keeps the last document.
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

static void leave(vla_simulation* s, const char* text) {
  strncpy(s->message, text, sizeof s->message - 1);
}

static void on_error(const char* text) {
  if (!landing) {  // in a call from outside of this file, of which none can fail
    fprintf(stderr, "MuJoCo: %s\n", text);
    abort();
  }
  leave(current, text);
  longjmp(*landing, 1);
}

// MuJoCo's own handler would write a file MUJOCO_LOG.TXT.
static void on_warning(const char* text) {
  if (current) leave(current, text);
}

// GUARDED runs body, which may set result, and yields result.
#define GUARDED(s, body)           \
  jmp_buf here;                    \
  volatile int result = VLA_OK;    \
  current = (s);                   \
  (s)->message[0] = 0;             \
  landing = &here;                 \
  if (setjmp(here) == 0) {         \
    body                           \
  } else {                         \
    result = VLA_FAILED;           \
  }                                \
  landing = NULL;                  \
  current = NULL;                  \
  return result;

static int load(vla_simulation* s, const char* path) {
  GUARDED(s, {
    s->model = mj_loadXML(path, NULL, s->message, sizeof s->message);
    if (s->model) s->data = mj_makeData(s->model);
    if (!s->data) result = VLA_FAILED;
  })
}

vla_simulation* vla_load(const char* path) {
  vla_simulation* s = calloc(1, sizeof *s);
  if (!s) return NULL;
  pthread_mutex_lock(&loading);
  mju_user_error = on_error;
  mju_user_warning = on_warning;
  if (load(s, path) != VLA_OK) {
    if (s->model) mj_deleteModel(s->model);
    s->model = NULL;
  }
  mj_freeLastXML();
  pthread_mutex_unlock(&loading);
  return s;
}

void vla_free(vla_simulation* s) {
  if (s->data) mj_deleteData(s->data);
  if (s->model) mj_deleteModel(s->model);
  free(s);
}

static void poses(const mjModel* m, mjData* d) {
  mj_kinematics(m, d);
  mj_comPos(m, d);
  mj_camlight(m, d);
}

int vla_reset(vla_simulation* s, int key) {
  GUARDED(s, {
    mj_resetData(s->model, s->data);
    if (key < s->model->nkey) mj_resetDataKeyframe(s->model, s->data, key);
    poses(s->model, s->data);
  })
}

int vla_forward(vla_simulation* s) {
  GUARDED(s, { poses(s->model, s->data); })
}

// warned says what the warnings of a step come to, and leaves the first as the message.
static int warned(vla_simulation* s) {
  for (int i = 0; i < mjNWARNING; i++) {
    if (s->data->warning[i].number == 0) continue;
    leave(s, mju_warningText(i, s->data->warning[i].lastinfo));
    switch (i) {
      case mjWARN_BADQPOS:
      case mjWARN_BADQVEL:
      case mjWARN_BADQACC:
        return VLA_DIVERGED;
    }
    return VLA_WARNED;
  }
  return VLA_OK;
}

int vla_step(vla_simulation* s, int count) {
  GUARDED(s, {
    memset(s->data->warning, 0, sizeof s->data->warning);
    for (int i = 0; i < count && result == VLA_OK; i++) {
      mj_step(s->model, s->data);
      result = warned(s);
    }
    poses(s->model, s->data);
  })
}

int vla_mass(vla_simulation* s, mjtNum* inertia, mjtNum* energy) {
  GUARDED(s, {
    mjModel* m = s->model;
    mjData* d = s->data;
    int flags = m->opt.enableflags;
    m->opt.enableflags |= mjENBL_ENERGY;  // else they count as 0
    mj_fwdPosition(m, d);
    mj_fwdVelocity(m, d);
    mj_energyPos(m, d);
    mj_energyVel(m, d);
    m->opt.enableflags = flags;
    mj_fullM(m, inertia, d->qM);
    energy[0] = d->energy[1];
    energy[1] = d->energy[0];
  })
}
