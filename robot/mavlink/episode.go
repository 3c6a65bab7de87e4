package mavlink

import (
	"fmt"

	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
)

const (
	half    = 1 << 24 // a float32 holds whole numbers below this exactly
	maxSeed = half*half - 1
)

// reset is what MAV_CMD_USER_1 asks of a simulator: a new episode.
type reset struct {
	seed     int64  // 0 to maxSeed
	lockstep bool   // time stands still between commands
	episode  uint32 // 1 to half-1; tells one reset from the next
}

// encode returns the command for the vehicle at. confirmation counts the transmissions.
func (r reset) encode(at target, confirmation uint8) *common.MessageCommandLong {
	m := &common.MessageCommandLong{
		TargetSystem:    at.system,
		TargetComponent: at.component,
		Command:         common.MAV_CMD_USER_1,
		Confirmation:    confirmation,
		Param1:          float32(r.seed % half),
		Param2:          float32(r.seed / half),
		Param4:          float32(r.episode),
	}
	if r.lockstep {
		m.Param3 = 1
	}
	return m
}

// decodeReset reads the command.
func decodeReset(m *common.MessageCommandLong) (reset, error) {
	params := [...]float32{m.Param1, m.Param2, m.Param3, m.Param4}
	limits := [...]float32{half - 1, half - 1, 1, half - 1}
	var whole [len(params)]int64
	for i, p := range params {
		if !(p >= 0 && p <= limits[i]) || p != float32(int64(p)) {
			return reset{}, fmt.Errorf("reset: param%d is %v, want a whole number from 0 to %v", i+1, p, limits[i])
		}
		whole[i] = int64(p)
	}
	if whole[3] == 0 {
		return reset{}, fmt.Errorf("reset: param4, the episode's number, is 0")
	}
	return reset{seed: whole[0] + half*whole[1], lockstep: whole[2] == 1, episode: uint32(whole[3])}, nil
}

// stepStamp is time_usec in lockstep: it names a control step of an episode, in the
// command that asks for it and in the state that answers. Step 0 is the initial state.
func stepStamp(episode, step uint32) uint64 { return uint64(episode)<<32 | uint64(step) }
