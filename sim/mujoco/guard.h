//go:build mujoco && cgo

// Calls into MuJoCo that come back whatever happens. The library's errors are calls of a
// handler that must not return; here they end the call with a message.

#ifndef VLA_GUARD_H_
#define VLA_GUARD_H_

#include <mujoco/mujoco.h>

// vla_simulation is a loaded model and its state. Calls on one must not overlap.
typedef struct {
  mjModel* model;
  mjData* data;
  char message[1000];  // of the last call that failed; of vla_load, a warning too
} vla_simulation;

// What a call came to.
enum {
  VLA_OK,
  VLA_WARNED,    // the state makes no sense any more, or contacts were left out
  VLA_DIVERGED,  // numbers that are not finite, or too large; MuJoCo has reset the state
  VLA_FAILED     // the state is of no more use
};

// vla_load reads an MJCF file. It returns NULL only where there is no memory; where model
// is NULL, message says why.
vla_simulation* vla_load(const char* path);

// vla_free frees s and what it holds.
void vla_free(vla_simulation* s);

// vla_reset puts s into the start state: of the keyframe with that index, if there is one.
int vla_reset(vla_simulation* s, int key);

// vla_forward brings the poses of bodies, geoms and cameras up to date with the positions.
int vla_forward(vla_simulation* s);

// vla_step advances s by count time steps, and brings the poses up to date.
int vla_step(vla_simulation* s, int count);

// vla_mass writes the inertia, [nv][nv], and the kinetic and the potential energy.
int vla_mass(vla_simulation* s, mjtNum* inertia, mjtNum* energy);

#endif  // VLA_GUARD_H_
