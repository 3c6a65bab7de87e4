package mavlink

import (
	"math"

	"govla/actions"
)

// Servo pulses in µs. A dimension's minimum is at pulseMin, its maximum at pulseMax;
// pulses that a radio would not send are refused.
const (
	pulseMin, pulseMax        = 1000, 2000
	pulseLowest, pulseHighest = 800, 2200
)

// normalise maps v from the limits of d to [-1, 1]: c = 2·(v - min)/(max - min) - 1. What
// lies outside the limits becomes -1 or 1. There and back a value changes by no more than
// one unit in the last place of the larger limit.
func normalise(d actions.Dimension, v float32) float32 {
	low, width := float64(d.Min), float64(d.Max)-float64(d.Min)
	c := 2*(float64(v)-low)/width - 1
	return float32(min(max(c, -1), 1))
}

// denormalise is the way back: v = min + (c + 1)·(max - min)/2, within the limits.
func denormalise(d actions.Dimension, c float32) float32 {
	low, width := float64(d.Min), float64(d.Max)-float64(d.Min)
	v := float32(low + (float64(c)+1)*width/2)
	return min(max(v, d.Min), d.Max)
}

// pulse maps v from the limits of d to 1000..2000 µs: p = round(1500 + 500·c). One µs is
// 1/1000 of the range, so a value changes by up to 1/2000 of the range there and back.
func pulse(d actions.Dimension, v float32) uint16 {
	return uint16(math.Round(1500 + 500*float64(normalise(d, v))))
}

// fromPulse is the way back: c = (p - 1500)/500.
func fromPulse(d actions.Dimension, p uint16) float32 {
	return denormalise(d, float32((float64(p)-1500)/500))
}

func finite(v float32) bool { return v-v == 0 }
