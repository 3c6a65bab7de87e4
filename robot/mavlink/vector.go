package mavlink

import (
	"fmt"
	"math"

	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
	"github.com/bluenviron/gomavlib/v3/pkg/message"
)

// Names of the vectors that a vehicle sends.
const (
	vectorState   = "state"   // the observation's state, in the units of the robot's Space
	vectorScore   = "score"   // reward, success, done, step
	vectorInitial = "initial" // the episode's number and the initial state of a reset
	vectorSpec    = "spec"    // see describe
)

const (
	arrayLength = 58 // numbers in one DEBUG_FLOAT_ARRAY
	maxArrays   = 16 // arrays in one vector
	maxVector   = arrayLength*maxArrays - 1
)

// appendVector appends the DEBUG_FLOAT_ARRAY messages that carry values: the numbers in
// order, then one NaN that marks the end, 58 to a message, array_id counting from 0.
// There must be at most maxVector numbers, all finite: a NaN would be taken for the end.
func appendVector(to []message.Message, name string, stamp uint64, values []float32) ([]message.Message, error) {
	if len(values) > maxVector {
		return to, fmt.Errorf("%s has %d numbers, want at most %d", name, len(values), maxVector)
	}
	for i, v := range values {
		if !finite(v) {
			return to, fmt.Errorf("%s: number %d is %v", name, i, v)
		}
	}
	for id := 0; id*arrayLength <= len(values); id++ {
		m := &common.MessageDebugFloatArray{TimeUsec: stamp, Name: name, ArrayId: uint16(id)}
		if n := copy(m.Data[:], values[id*arrayLength:]); n < arrayLength {
			m.Data[n] = float32(math.NaN())
		}
		to = append(to, m)
	}
	return to, nil
}

// vector puts the messages of one vector together again.
type vector struct {
	stamp    uint64
	have     uint32 // bit i: array i was received
	received [maxArrays]common.MessageDebugFloatArray
	values   []float32
}

// add takes a message. Once all messages of a stamp are there it returns the vector's
// numbers, which the next add overwrites. A vector without an end, or with a number that
// is not finite, is never complete.
func (v *vector) add(m *common.MessageDebugFloatArray) (values []float32, complete bool) {
	if m.ArrayId >= maxArrays {
		return nil, false
	}
	if m.TimeUsec != v.stamp {
		v.stamp, v.have = m.TimeUsec, 0
	}
	v.received[m.ArrayId] = *m
	v.have |= 1 << m.ArrayId
	v.values = v.values[:0]
	for id := range maxArrays {
		if v.have&(1<<id) == 0 {
			return nil, false
		}
		for _, x := range v.received[id].Data {
			if x != x {
				return v.values, true
			}
			if !finite(x) {
				return nil, false
			}
			v.values = append(v.values, x)
		}
	}
	return nil, false
}
