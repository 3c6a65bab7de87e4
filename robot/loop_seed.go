package robot

// ChunkSeed derives the seed of an episode's chunk n, counted from 0: it is output n of
// the SplitMix64 generator (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
// Generators, OOPSLA 2014) whose state is the episode's seed.
func ChunkSeed(episode uint64, n int) uint64 {
	z := episode + uint64(n+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
