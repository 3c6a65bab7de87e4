package head

// At puts the session at a position of a sequence of the given length, behind token, for
// tests that decode a sequence of their own choice.
func (s *Session) At(position, length int, token int32) {
	s.position, s.length, s.token = position, length, token
}
