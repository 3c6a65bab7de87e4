package natsbus

import (
	"fmt"
	"slices"
	"time"
)

// session is the client that commands a robot: the owner for as long as held is set, the
// last owner afterwards. It is the whole rule of who may command; it knows no message.
type session struct {
	id       string
	held     bool
	lapsed   bool // it ended because id was silent, not because id said so
	lockstep bool
	sequence uint64    // the newest number of id that was taken
	deadline time.Time // ownership ends here unless it is extended

	// lost are clients that do not know yet that they lost the robot. Their commands are
	// refused, however free the robot is, until they stop or reset it: what they send was
	// computed for a world that somebody else has moved or stopped since.
	lost []sender
}

// maxLost bounds the memory for clients that never came back.
const maxLost = 64

// verdict is what becomes of a command or reset.
type verdict int

const (
	fresh    verdict = iota // carry it out
	repeated                // it was carried out: answer it as before
	late                    // a newer one was carried out: drop it
)

// admit decides about a message from a client and makes the client the owner where the
// robot is free. A reset, if it is a new one, brings back a client that was lost.
func (s *session) admit(from sender, reset bool, now time.Time) (verdict, *failure) {
	if from.session != s.id && s.held && now.Before(s.deadline) {
		return 0, &failure{codeBusy, fmt.Sprintf("session %s commands the robot", s.id)}
	}
	at := s.find(from.session)
	if at >= 0 && !reset {
		return 0, &failure{codeLost, fmt.Sprintf("session %s lost the robot to another one: stop or reset it first", from.session)}
	}
	sequence := s.sequence
	if from.session != s.id {
		if sequence = 0; at >= 0 {
			sequence = s.lost[at].sequence
		}
	}
	switch {
	case from.sequence == 0:
		sequence++ // who does not count sends in order
	case from.sequence == sequence && from.session == s.id:
		return repeated, nil
	case from.sequence <= sequence:
		return late, nil
	default:
		sequence = from.sequence
	}
	if at >= 0 {
		s.lost = slices.Delete(s.lost, at, at+1)
	}
	if from.session != s.id && (s.held || s.lapsed) { // the last owner has not been told
		s.lose()
	}
	s.id, s.sequence, s.held, s.lapsed = from.session, sequence, true, false
	return fresh, nil
}

// lapse ends the ownership of a client that was silent for too long.
func (s *session) lapse() { s.held, s.lapsed = false, true }

// stop ends the ownership. The client that asks for it, if any, may command again; a
// client that was stopped by another one may not.
func (s *session) stop(from sender) {
	switch {
	case from.session != s.id && s.id != "":
		s.lose()
	case from.sequence == 0:
		s.sequence++
	default:
		s.sequence = max(s.sequence, from.sequence)
	}
	if at := s.find(from.session); at >= 0 {
		s.lost = slices.Delete(s.lost, at, at+1)
	}
	s.held, s.lapsed = false, false
}

// lose remembers that the owner does not know that it lost the robot.
func (s *session) lose() {
	if s.find(s.id) >= 0 {
		return
	}
	if len(s.lost) == maxLost {
		s.lost = slices.Delete(s.lost, 0, 1)
	}
	s.lost = append(s.lost, sender{s.id, s.sequence})
}

// find returns where a client is among the lost, or -1.
func (s *session) find(id string) int {
	return slices.IndexFunc(s.lost, func(lost sender) bool { return lost.session == id })
}

// mode is the heartbeat's word for how things stand.
func (s *session) mode() string {
	switch {
	case !s.held:
		return modeFree
	case s.lockstep:
		return modeLockstep
	}
	return modeRealTime
}
