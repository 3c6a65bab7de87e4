// Package smolvla runs SmolVLA policies (Shukor et al., arXiv 2506.01844) from checkpoint
// folders as LeRobot writes them.
//
// A chunk is computed in three stages, each in a file of its own:
//
//	vision    the SigLIP tower (Zhai et al., arXiv 2303.15343) over each camera's image,
//	          a pixel shuffle and a linear connector: [patches, width] to [tokens, width]
//	prefix    the first layers of the SmolLM2 language model (Allal et al., arXiv
//	          2502.02737) over images, instruction and state, of which only the keys and
//	          values of every layer are kept
//	denoise   the action expert, which attends to these, as the velocity field of flow
//	          matching (Lipman et al., arXiv 2210.02747), integrated in Euler steps from
//	          noise at t=1 to actions at t=0
//
// Nothing is computed that cannot change the actions: padded tokens and masked cameras are
// left out instead of masked (they would only repeat a position), the last language layer
// stops at its keys and values, and what does not depend on the noise is done once and not
// in every Euler step.
//
// One code path serves both precisions. The residual streams, norms, softmax, sums and the
// Euler state are float32; what goes from one product into the next is float32 or bf16, and
// so are the weights of the three transformers. The projections of state, action and time
// are float32 always, as in the published checkpoints.
package smolvla
