package actions

import (
	"context"
	"fmt"
	"image"
	"maps"
	"slices"
)

// Body is what a policy has to fit: a robot's vectors and cameras.
type Body struct {
	State   Space
	Action  Space
	Cameras []string
}

// Adapt returns p as a policy for a body. names says, for dimensions and cameras of the
// policy, what they are called on the body: "camera1": "front". Those that it does not
// mention go by their own name where the body has it. The dimensions of a vector whose names
// all differ, as those of a checkpoint that has none, go in order, if there are as many.
//
// The policy keeps its own rate. Every dimension that the policy needs or gives must find
// its place, every action of the body must be given, and cameras that the policy has but
// the body has not are left out if one is there. What does not fit is an error that names it.
func Adapt(p Policy, b Body, names map[string]string) (Policy, error) {
	spec := p.Spec()
	state, err := places("state", spec.State, b.State, names)
	if err != nil {
		return nil, err
	}
	action, err := places("action", spec.Action, b.Action, names)
	if err != nil {
		return nil, err
	}
	for i, d := range b.Action {
		if !slices.Contains(action, i) {
			return nil, fmt.Errorf("action: the robot's %q is given by none of the policy's %v", d.Name, spec.Action.Names())
		}
	}
	cameras, err := cameraPlaces(spec.Cameras, b.Cameras, names)
	if err != nil {
		return nil, err
	}
	for policyName := range names {
		if spec.State.Index(policyName) < 0 && spec.Action.Index(policyName) < 0 && !slices.Contains(spec.Cameras, policyName) {
			return nil, fmt.Errorf("the policy has no %q: its state is %v, its action %v, its cameras are %v",
				policyName, spec.State.Names(), spec.Action.Names(), spec.Cameras)
		}
	}
	if spec.State.SameNames(b.State) == nil && spec.Action.SameNames(b.Action) == nil && len(names) == 0 && len(cameras) == len(spec.Cameras) {
		return p, nil
	}
	a := &adapted{Policy: p, spec: spec, state: state, action: action, cameras: cameras}
	if len(spec.State) > 0 {
		a.spec.State = slices.Clone(b.State)
	}
	a.spec.Action = slices.Clone(b.Action)
	a.spec.Cameras = slices.Sorted(maps.Values(cameras))
	return a, nil
}

// adapted renames and reorders what goes into a policy and what comes out.
type adapted struct {
	Policy
	spec          PolicySpec
	state, action []int             // for each of the policy's dimensions, the body's
	cameras       map[string]string // from the policy's names to the body's
}

func (a *adapted) Spec() PolicySpec { return a.spec }

func (a *adapted) Predict(ctx context.Context, in Input) (Chunk, error) {
	window := make([]Observation, len(in.Window))
	for i, seen := range in.Window {
		o := Observation{Time: seen.Time, Instruction: seen.Instruction, State: make([]float32, len(a.state))}
		for j, from := range a.state {
			if from >= len(seen.State) {
				return Chunk{}, fmt.Errorf("state has %d numbers, want %d", len(seen.State), len(a.spec.State))
			}
			o.State[j] = seen.State[from]
		}
		if len(a.cameras) > 0 {
			o.Images = make(map[string]image.Image, len(a.cameras))
		}
		for name, from := range a.cameras {
			if picture := seen.Images[from]; picture != nil {
				o.Images[name] = picture
			}
		}
		window[i] = o
	}
	in.Window = window
	chunk, err := a.Policy.Predict(ctx, in)
	if err != nil {
		return Chunk{}, err
	}
	if chunk.Dim != len(a.action) {
		return Chunk{}, fmt.Errorf("chunk: actions have %d dimensions, want %d", chunk.Dim, len(a.action))
	}
	out := NewChunk(chunk.Start, chunk.Step, chunk.Horizon(), len(a.spec.Action))
	out.ModelCalls, out.Tokens, out.Stray = chunk.ModelCalls, chunk.Tokens, chunk.Stray
	for i := range chunk.Horizon() {
		for j, v := range chunk.At(i) {
			out.At(i)[a.action[j]] = v
		}
	}
	return out, nil
}

// Quantize implements Quantizer for a policy that does.
func (a *adapted) Quantize(state, action []float32) []float32 {
	q, ok := a.Policy.(Quantizer)
	if !ok {
		return nil
	}
	theirState, theirAction := make([]float32, len(a.state)), make([]float32, len(a.action))
	for i, from := range a.state {
		theirState[i] = state[from]
	}
	for i, from := range a.action {
		theirAction[i] = action[from]
	}
	nearest := q.Quantize(theirState, theirAction)
	if nearest == nil {
		return nil
	}
	out := make([]float32, len(action))
	for i, to := range a.action {
		out[to] = nearest[i]
	}
	return out
}

// places finds, for each dimension of the policy's, the body's.
func places(what string, policy, body Space, names map[string]string) ([]int, error) {
	index := make([]int, len(policy))
	taken := map[int]string{}
	var lost []string
	for i, d := range policy {
		name, mapped := names[d.Name]
		if !mapped {
			name = d.Name
		}
		if index[i] = body.Index(name); index[i] < 0 {
			if mapped {
				return nil, fmt.Errorf("%s: the robot has no %q for the policy's %q: it has %v", what, name, d.Name, body.Names())
			}
			lost = append(lost, d.Name)
			continue
		}
		if other, ok := taken[index[i]]; ok {
			return nil, fmt.Errorf("%s: the robot's %q serves the policy's %q and %q", what, name, other, d.Name)
		}
		taken[index[i]] = d.Name
	}
	switch {
	case len(lost) == 0:
		return index, nil
	case len(lost) == len(policy) && len(policy) == len(body):
		for i := range index {
			index[i] = i
		}
		return index, nil
	default:
		return nil, fmt.Errorf("%s: the robot has no %q: it has %v, and the policy wants %v", what, lost, body.Names(), policy.Names())
	}
}

func cameraPlaces(policy, body []string, names map[string]string) (map[string]string, error) {
	places := map[string]string{}
	for _, camera := range policy {
		name, mapped := names[camera]
		if !mapped {
			name = camera
		}
		switch {
		case slices.Contains(body, name):
			places[camera] = name
		case mapped:
			return nil, fmt.Errorf("cameras: the robot has no %q for the policy's %q: it has %v", name, camera, body)
		}
	}
	if len(policy) > 0 && len(places) == 0 {
		return nil, fmt.Errorf("cameras: the robot has %v, and the policy wants one of %v at least", body, policy)
	}
	return places, nil
}
