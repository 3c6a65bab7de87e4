package smolvla

import "govla/internal/compute"

// ask computes what the expert answers at x_t and the time of evaluation number step, behind
// a prefix of so many tokens: the velocity, the noise or the actions, whichever it was trained
// for, shape [chunk][max action dim] as x, which it may overwrite.
func (s *session[T]) ask(answer, x compute.Matrix, step, prefix int) {
	w, b, epsilon := s.weights, &s.expert, s.shape.text.epsilon
	compute.Mul(s.hidden, x, w.actionIn.weight, compute.Epilogue{Bias: s.timeBiases.Row(step), Activation: compute.SiLUActivation})
	compute.Mul(b.stream, s.hidden, w.timeOut.weight, compute.Epilogue{Bias: w.timeOut.bias})
	if s.trace != nil {
		show(s.trace, b.stream, "step%d.suffix_embs", step)
	}
	for i := range w.expert {
		if s.trace != nil {
			show(s.trace, b.stream, "step%d.expert.layer%d.in", step, i)
		}
		layer := &w.expert[i]
		compute.RMSNorm(b.normed, b.stream, layer.attentionGain, epsilon, nil)
		s.attendExpert(layer, &s.prefix[i], prefix)
		if s.trace != nil {
			show(s.trace, b.qkv.Columns(0, s.shape.heads*s.shape.headSize), "step%d.attn%d.q_rope", step, i)
		}
		compute.Mul(b.stream, b.attended, layer.output, compute.Epilogue{Residual: b.stream})
		b.addMLP(&layer.block, epsilon)
	}
	compute.RMSNorm(s.final, b.stream, w.finalGain, epsilon, nil)
	compute.Mul(answer, s.final, w.actionOut.weight, compute.Epilogue{Bias: w.actionOut.bias})
	if s.trace != nil {
		show(s.trace, s.final, "step%d.expert.final_norm.out", step)
		show(s.trace, answer, "step%d.v_t", step)
	}
}

// attendExpert is the attention of a layer of the expert. A self-attention layer continues
// the prefix: its positions go on where those end, and action i sees the prefix and actions
// 0 to i. In a cross-attention layer, positions begin at 0, and it sees the prefix alone.
func (s *session[T]) attendExpert(layer *expertBlock, prefix *compute.KeyValues, tokens int) {
	b := &s.expert
	queriesWidth, keysWidth := s.shape.heads*s.shape.headSize, s.shape.kvHeads*s.shape.headSize
	projected := b.qkv.Columns(0, layer.project.Out)
	compute.Mul(projected, b.normed, layer.project, compute.Epilogue{})
	queries := projected.Columns(0, queriesWidth)
	if layer.keys != nil {
		compute.RoPE(queries, queries, s.cosine.RowRange(0, b.qkv.Rows), s.sine.RowRange(0, b.qkv.Rows))
		compute.Attend(s.attention, b.attended, queries, compute.Mask{}, prefix)
	} else {
		turned := projected.Columns(0, queriesWidth+keysWidth)
		from, to := tokens, tokens+b.qkv.Rows
		compute.RoPE(turned, turned, s.cosine.RowRange(from, to), s.sine.RowRange(from, to))
		compute.PackKeyValues(&s.own, s.attention, turned.Columns(queriesWidth, turned.Cols), projected.Columns(turned.Cols, projected.Cols))
		compute.Attend(s.attention, b.attended, queries, compute.Mask{Causal: true}, prefix, &s.own)
	}
}
