package actions

import (
	"image"
	"maps"
	"time"
)

// Observation is what a robot knows at one instant.
type Observation struct {
	Time        time.Duration          // monotonic; the control loop stamps it on arrival
	State       []float32              // in the order and units of the robot's state Space
	Images      map[string]image.Image // by camera name; nil where there are no cameras
	Instruction string                 // the task in words; empty where there is one task
}

// CopyFrom makes o equal to src without sharing its state vector, reusing o's own.
// Images are shared: they are never written once they are in an Observation.
func (o *Observation) CopyFrom(src *Observation) {
	o.Time, o.Instruction = src.Time, src.Instruction
	o.State = append(o.State[:0], src.State...)
	if len(src.Images) == 0 {
		o.Images = nil
		return
	}
	if o.Images == nil {
		o.Images = make(map[string]image.Image, len(src.Images))
	}
	clear(o.Images)
	maps.Copy(o.Images, src.Images)
}
