package teleop

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"govla/actions"
)

// jointKeys are the keys that push dimension i of the action up and down: the upper row
// of letters and the one below it.
var jointKeys = [...][2]Key{{'q', 'a'}, {'w', 's'}, {'e', 'd'}, {'r', 'f'}, {'t', 'g'}, {'y', 'h'}, {'u', 'j'}, {'i', 'k'}, {'o', 'l'}}

// axes are those along which keys move a hand, in the order of Motion's fields.
var axes = [...]struct {
	forward, backward [2]Key // either of the two
	speed             float64
	what              string
}{
	{[2]Key{'w', Up}, [2]Key{'s', Down}, handSpeed, "forward, back"},
	{[2]Key{'a', Left}, [2]Key{'d', Right}, handSpeed, "left, right"},
	{[2]Key{'r', PageUp}, [2]Key{'f', PageDown}, handSpeed, "up, down"},
	{[2]Key{'t', 't'}, [2]Key{'g', 'g'}, turnSpeed, "tilt down, up"},
	{[2]Key{'e', 'e'}, [2]Key{'q', 'q'}, turnSpeed, "roll"},
}

// gripperKeys open and close a gripper, whatever else the keys move.
var gripperKeys = [2]Key{'x', 'z'}

// pushed returns what a key pushes, with its direction, or nil.
func (k *Keyboard) pushed(key Key) *push {
	towards := func(p *push, direction float64) *push {
		p.direction = direction
		return p
	}
	if k.gripper >= 0 && (key == gripperKeys[0] || key == gripperKeys[1]) {
		return towards(&k.joints[k.gripper], direction(key == gripperKeys[0]))
	}
	if k.byHand {
		for i, axis := range axes {
			for n := range axis.forward {
				if key == axis.forward[n] || key == axis.backward[n] {
					return towards(&k.hand[i], direction(key == axis.forward[n]))
				}
			}
		}
		return nil
	}
	for i := range k.joints {
		if keys := jointKeys[i]; key == keys[0] || key == keys[1] {
			return towards(&k.joints[i], direction(key == keys[0]))
		}
	}
	switch across := key == Left || key == Right; {
	case across:
		return towards(&k.joints[0], direction(key == Right))
	case (key == Up || key == Down) && len(k.joints) > 1:
		up := key == Up
		if k.config.Action[1].Unit == "px" { // counted from the top of a picture
			up = !up
		}
		return towards(&k.joints[1], direction(up))
	}
	return nil
}

func direction(positive bool) float64 {
	if positive {
		return 1
	}
	return -1
}

// WriteHelp writes the keys that move a robot with this action space, and those that lead
// through the recording of episodes.
func WriteHelp(w io.Writer, space actions.Space, hand bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(keys, what string) { fmt.Fprintln(t, keys+"\t"+what) }
	arrows := "the first two dimensions"
	if hand {
		var keys []string
		for _, axis := range axes {
			keys = append(keys, fmt.Sprintf("%c %c %s", axis.forward[0], axis.backward[0], axis.what))
		}
		line("hand", strings.Join(keys, " | "))
		line("Tab", "hand or joints")
		arrows = "the hand forward, back, left, right; Page Up, Page Down: up, down"
	}
	var keys []string
	for i, d := range space[:min(len(space), len(jointKeys))] {
		keys = append(keys, fmt.Sprintf("%c %c %s", jointKeys[i][0], jointKeys[i][1], d.Name))
	}
	line("joints", strings.Join(keys, " | "))
	line("arrows", arrows)
	if gripper(space) >= 0 {
		line("x z", "open, close the gripper")
	}
	line("+ - Space", "faster, slower, hold still")
	line("Enter", "begin an episode; end it and keep it")
	line("Backspace", "discard the episode and begin it again")
	line("Ctrl-D", "no more episodes")
	return t.Flush()
}
