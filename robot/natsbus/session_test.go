package natsbus

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSession(t *testing.T) {
	const hold = time.Second
	type event struct {
		do   string // command, reset, stop or lapse
		from string
		n    uint64
		at   time.Duration
		want string // verdict or code; the empty string for stop and lapse
	}
	for name, events := range map[string][]event{
		"numbers rise": {
			{"command", "a", 1, 0, "fresh"}, {"command", "a", 2, 0, "fresh"}, {"command", "a", 7, 0, "fresh"},
			{"command", "a", 7, 0, "repeated"}, {"command", "a", 6, 0, "late"}, {"command", "a", 8, 0, "fresh"},
		},
		"no numbers": {
			{"command", "a", 0, 0, "fresh"}, {"command", "a", 0, 0, "fresh"}, {"command", "a", 2, 0, "repeated"},
		},
		"one owner": {
			{"command", "a", 1, 0, "fresh"}, {"command", "b", 1, 0, codeBusy}, {"reset", "b", 2, 0, codeBusy},
			{"stop", "a", 2, 0, ""}, {"command", "b", 3, 0, "fresh"}, {"command", "a", 3, 0, codeBusy},
		},
		"stopped by itself, goes on": {
			{"command", "a", 1, 0, "fresh"}, {"stop", "a", 2, 0, ""}, {"command", "a", 1, 0, "late"},
			{"command", "a", 3, 0, "fresh"},
		},
		"an old stop does not hide a new command": {
			{"command", "a", 5, 0, "fresh"}, {"stop", "a", 4, 0, ""}, {"command", "a", 6, 0, "fresh"},
		},
		"stopped by somebody": {
			{"command", "a", 1, 0, "fresh"}, {"stop", "", 0, 0, ""}, {"command", "a", 2, 0, codeLost},
			{"command", "b", 1, 0, "fresh"}, {"stop", "b", 2, 0, ""}, {"command", "a", 3, 0, codeLost},
			{"stop", "a", 4, 0, ""}, {"command", "a", 5, 0, "fresh"},
		},
		"stopped by somebody, resets": {
			{"reset", "a", 1, 0, "fresh"}, {"stop", "b", 0, 0, ""}, {"command", "a", 2, 0, codeLost},
			{"reset", "a", 3, 0, "fresh"}, {"command", "a", 4, 0, "fresh"},
		},
		"silent, comes back": {
			{"command", "a", 1, 0, "fresh"}, {"lapse", "", 0, 2 * hold, ""}, {"command", "a", 2, 3 * hold, "fresh"},
		},
		"silent, is replaced": {
			{"command", "a", 1, 0, "fresh"}, {"lapse", "", 0, 2 * hold, ""}, {"command", "b", 1, 3 * hold, "fresh"},
			{"stop", "b", 2, 3 * hold, ""}, {"command", "a", 2, 3 * hold, codeLost},
		},
		"silent, is replaced before the tick": {
			{"command", "a", 1, 0, "fresh"}, {"command", "b", 1, 2 * hold, "fresh"}, {"command", "a", 2, 9 * hold, codeLost},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s session
			start := time.Now()
			for i, e := range events {
				switch e.do {
				case "stop":
					s.stop(sender{e.from, e.n})
					continue
				case "lapse":
					s.lapse()
					continue
				}
				v, f := s.admit(sender{e.from, e.n}, e.do == "reset", start.Add(e.at))
				got := []string{"fresh", "repeated", "late"}[v]
				if f != nil {
					got = f.Code
				} else {
					s.deadline = start.Add(e.at + hold)
				}
				if got != e.want {
					t.Fatalf("event %d, %s of %q number %d: %s, want %s", i, e.do, e.from, e.n, got, e.want)
				}
			}
		})
	}
}

// TestSessionNeverActsBehindAStop checks, whatever clients do, that nobody's command is
// carried out between somebody else's stop and a stop or reset of its own, and that no
// number is carried out twice.
func TestSessionNeverActsBehindAStop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s session
		now := time.Now()
		barred := map[string]bool{}    // was owner when somebody else stopped
		newest := map[string]uint64{}  // number carried out for the current owner
		everOwner := map[string]bool{} // so that a first command is told from a later one
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			from := sender{fmt.Sprint("c", rapid.IntRange(0, 3).Draw(t, "client")), rapid.Uint64Range(1, 12).Draw(t, "number")}
			switch what := rapid.SampledFrom([]string{"command", "command", "reset", "stop", "wait"}).Draw(t, "what"); what {
			case "wait":
				now = now.Add(time.Second)
				if s.held && now.After(s.deadline) {
					s.lapse()
				}
			case "stop":
				if s.id != "" && s.id != from.session {
					barred[s.id] = true
				}
				delete(barred, from.session)
				s.stop(from)
			default:
				owner := s.id
				held := s.held && now.Before(s.deadline)
				v, f := s.admit(from, what == "reset", now)
				if f != nil || v != fresh {
					continue
				}
				s.deadline = now.Add(1500 * time.Millisecond)
				if held && owner != from.session {
					t.Fatalf("%s took the robot from %s", from.session, owner)
				}
				if barred[from.session] && what == "command" {
					t.Fatalf("%s commands after somebody else's stop", from.session)
				}
				if owner == from.session && everOwner[owner] && from.sequence <= newest[owner] {
					t.Fatalf("%s: number %d is carried out after %d", owner, from.sequence, newest[owner])
				}
				delete(barred, from.session)
				everOwner[from.session], newest[from.session] = true, from.sequence
			}
		}
	})
}
