package natsbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"govla/robot"
)

// handle carries out one message. Errors that end the service are returned; all others
// are answered.
func (s *Service) handle(ctx context.Context, m *nats.Msg) error {
	switch m.Subject {
	case s.subjects.command:
		return s.command(ctx, m)
	case s.subjects.reset:
		return s.reset(ctx, m)
	case s.subjects.stop:
		return s.stop(ctx, m)
	case discoverSubject:
		s.describe(m)
	case s.subjects.spec:
		s.describe(m)
		s.sendState() // whoever asks starts here, and needs the first state too
	}
	return nil
}

// describe answers with the spec.
func (s *Service) describe(m *nats.Msg) {
	data, err := json.Marshal(s.spec)
	if err != nil { // a limit that is not finite: Serve has refused it
		s.log.Error("encode spec", "error", err)
		return
	}
	s.respond(m, data)
}

// command keeps an action for the next tick, or makes one control step in lockstep.
func (s *Service) command(ctx context.Context, m *nats.Msg) error {
	from, err := senderOf(m.Header)
	if err != nil {
		s.refuse(m, from, &failure{codeBadRequest, "command: " + err.Error()})
		return nil
	}
	command, err := decodeCommand(m.Data, s.spec.Action)
	if err != nil {
		s.refuse(m, from, &failure{codeBadRequest, err.Error()})
		return nil
	}
	if command.Lockstep && s.sim == nil {
		s.refuse(m, from, s.noSimulator("run in lockstep"))
		return nil
	}
	if !s.admit(m, from, false) {
		return nil
	}
	s.session.lockstep = command.Lockstep
	copy(s.action, command.Action)
	atRest := !s.due
	s.due = !command.Lockstep
	if s.due {
		if s.sim != nil && atRest {
			s.align()
		}
		s.session.deadline = time.Now().Add(s.opts.CommandTimeout)
		s.succeed(m, replyMessage{})
		return nil
	}
	err = s.step(ctx)
	s.session.deadline = time.Now().Add(idleTimeout)
	if err != nil {
		return s.fail(m, from, err)
	}
	s.sendState()
	s.reply, s.failed = nil, nil
	s.respondState(m)
	return nil
}

// step makes one control step in lockstep.
func (s *Service) step(ctx context.Context) error {
	call, cancel := context.WithTimeout(ctx, s.opts.RobotTimeout)
	defer cancel()
	if err := s.sim.Act(call, s.action); err != nil {
		return fmt.Errorf("act: %w", err)
	}
	if err := s.observe(ctx); err != nil {
		return fmt.Errorf("observe: %w", err)
	}
	return nil
}

// reset sets the simulator back and publishes the first state before it answers.
func (s *Service) reset(ctx context.Context, m *nats.Msg) error {
	from, err := senderOf(m.Header)
	if err != nil {
		s.refuse(m, from, &failure{codeBadRequest, "reset: " + err.Error()})
		return nil
	}
	var request resetMessage
	if err := json.Unmarshal(m.Data, &request); err != nil {
		s.refuse(m, from, &failure{codeBadRequest, "decode reset: " + err.Error()})
		return nil
	}
	if s.sim == nil {
		s.refuse(m, from, s.noSimulator("be reset"))
		return nil
	}
	if !s.admit(m, from, true) {
		return nil
	}
	s.session.lockstep = request.Lockstep
	s.due = false
	call, cancel := context.WithTimeout(ctx, s.opts.RobotTimeout)
	defer cancel()
	initial, err := s.sim.Reset(call, request.Seed)
	if err == nil {
		err = s.observe(ctx)
	}
	s.session.deadline = time.Now().Add(idleTimeout)
	if err != nil {
		return s.fail(m, from, fmt.Errorf("reset with seed %d: %w", request.Seed, err))
	}
	s.sendState()
	s.succeed(m, replyMessage{Initial: initial})
	return nil
}

// stop makes the robot hold, whoever asks and whatever the message looks like.
func (s *Service) stop(ctx context.Context, m *nats.Msg) error {
	from, err := senderOf(m.Header)
	if err != nil {
		from = sender{} // somebody
	}
	s.session.stop(from)
	s.due = false
	if err := s.stopRobot(ctx); err != nil {
		return s.fail(m, from, fmt.Errorf("stop: %w", err))
	}
	s.succeed(m, replyMessage{})
	if err := s.observe(ctx); err != nil {
		return s.trouble("observe", err)
	}
	s.sendState()
	return nil
}

// admit applies the rules of ownership. What it does not let through, it answers.
func (s *Service) admit(m *nats.Msg, from sender, reset bool) bool {
	verdict, refusal := s.session.admit(from, reset, time.Now())
	switch {
	case refusal != nil:
		s.refuse(m, from, refusal)
	case verdict == late:
		// Not for the error subject: the client has gone on, and nothing is wrong.
		s.respondReply(m, replyMessage{Error: &failure{codeLate, fmt.Sprintf("message %d came after %d", from.sequence, s.session.sequence)}})
	case verdict == repeated && s.failed != nil:
		s.refuse(m, from, s.failed)
	case verdict == repeated:
		s.sendState()
		if s.reply == nil {
			s.respondState(m)
		} else {
			s.respond(m, s.reply)
		}
	default:
		return true
	}
	return false
}

func (s *Service) noSimulator(what string) *failure {
	return &failure{codeUnsupported, fmt.Sprintf("%s is no simulator, it cannot %s", s.spec.Name, what)}
}

// succeed answers a message that was carried out, and keeps the answer for a repetition.
func (s *Service) succeed(m *nats.Msg, reply replyMessage) {
	reply.OK = true
	data, err := json.Marshal(reply)
	if err != nil { // an initial state that is not finite
		s.refuse(m, sender{s.session.id, s.session.sequence}, failureOf("encode answer", err))
		return
	}
	s.reply, s.failed = data, nil
	s.respond(m, data)
}

// fail answers a message that the robot did not carry out, and keeps the failure for a
// repetition. It returns an error that ends the service: the robot was closed.
func (s *Service) fail(m *nats.Msg, from sender, err error) error {
	f := failureOf(s.spec.Name, err)
	s.failed = f
	s.refuse(m, from, f)
	if errors.Is(err, robot.ErrClosed) {
		return fmt.Errorf("serve robot %s: %w", s.spec.Name, err)
	}
	return nil
}

// refuse answers with a failure, on the error subject and to the sender if it asked for
// an answer.
func (s *Service) refuse(m *nats.Msg, from sender, f *failure) {
	s.publishFailure(from.session, from.sequence, f)
	s.respondReply(m, replyMessage{Error: f})
}

func (s *Service) respondReply(m *nats.Msg, reply replyMessage) {
	data, _ := json.Marshal(reply) // strings only
	s.respond(m, data)
}

func (s *Service) respondState(m *nats.Msg) {
	if m.Reply != "" {
		s.stampState()
		s.publish(m.Reply, s.state)
	}
}

func (s *Service) respond(m *nats.Msg, data []byte) {
	if m.Reply != "" {
		s.stamp(time.Now())
		s.publish(m.Reply, data)
	}
}
