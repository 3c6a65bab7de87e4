package physics

import "fmt"

// State is everything that a World's future depends on besides its model. Save fills it
// and Restore brings it back to the bit. It may be reused; its zero value is ready to be
// saved to.
type State struct {
	Time                    float64
	Pos, Vel, Ctrl, Applied []float64

	// The solver starts from the impulses of the step before.
	contacts    []contact
	loss, limit []float64
}

// Save copies the world's state to s. It allocates only where s has too little room.
func (w *World) Save(s *State) {
	s.Time = w.Time
	s.Pos = append(s.Pos[:0], w.Pos...)
	s.Vel = append(s.Vel[:0], w.Vel...)
	s.Ctrl = append(s.Ctrl[:0], w.Ctrl...)
	s.Applied = append(s.Applied[:0], w.Applied...)
	s.contacts = append(s.contacts[:0], w.contacts...)
	s.loss = append(s.loss[:0], w.loss...)
	s.limit = append(s.limit[:0], w.limit...)
}

// Restore puts the world into the state s, which a world of the same model saved. Steps
// from there are the same, bit by bit, as those that followed Save.
func (w *World) Restore(s *State) error {
	if len(s.Pos) != len(w.Pos) || len(s.Vel) != len(w.Vel) || len(s.Applied) != len(w.Applied) || len(s.Ctrl) != len(w.Ctrl) ||
		len(s.loss) != len(w.loss) {
		return fmt.Errorf("restore state: have %d positions, %d velocities, %d controls, want %d, %d, %d as Save made them",
			len(s.Pos), len(s.Vel), len(s.Ctrl), len(w.Pos), len(w.Vel), len(w.Ctrl))
	}
	for i := range s.contacts {
		if s.contacts[i].pair >= len(w.pairs) {
			return fmt.Errorf("restore state: it has a contact of a geom pair %d, but the model only %d; it is another model's", s.contacts[i].pair, len(w.pairs))
		}
	}
	if err := checkPositions(s.Pos); err != nil {
		return fmt.Errorf("restore state: %w", err)
	}
	w.Time = s.Time
	copy(w.Pos, s.Pos)
	copy(w.Vel, s.Vel)
	copy(w.Ctrl, s.Ctrl)
	copy(w.Applied, s.Applied)
	w.contacts = append(w.contacts[:0], s.contacts...)
	copy(w.loss, s.loss)
	copy(w.limit, s.limit)
	w.updateKinematics()
	return nil
}
