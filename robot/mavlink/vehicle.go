package mavlink

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/bluenviron/gomavlib/v3"
	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
	"github.com/bluenviron/gomavlib/v3/pkg/message"

	"govla/actions"
	"govla/robot"
)

// component is the vehicle's MAVLink component: an autopilot.
const component = byte(common.MAV_COMP_ID_AUTOPILOT1)

// Values of HEARTBEAT.custom_mode.
const (
	modeRealTime = 0
	modeLockstep = 1
)

// nagPeriod is the time between two equal STATUSTEXTs about what goes on.
const nagPeriod = time.Second

// peer is who sent a message, and where answers go.
type peer struct {
	channel           *gomavlib.Channel
	system, component byte
}

// vehicle is what Serve makes of a robot: everything but sockets and clocks. All methods
// are called from one goroutine, with the time that it is.
type vehicle struct {
	robot      robot.Robot
	simulator  robot.Simulator // the robot, or nil if it is not one
	spec       robot.Spec
	system     byte
	heartbeats time.Duration // an operator that was not heard for longer is lost
	commands   time.Duration // an armed vehicle that was not commanded for longer disarms
	start      time.Time
	log        *slog.Logger
	send       func(to *gomavlib.Channel, m message.Message) // nil means to everybody

	armed    bool
	held     bool // the robot was stopped since it last moved
	operator peer // who armed or reset last; no channel means nobody
	heard    time.Time

	actuators *actuators
	commanded time.Time // when the last complete command came; zero means none since arming
	going     bool      // the newest message was the first such command
	failing   bool      // the robot did not do what it was last asked
	obs       actions.Observation

	lockstep bool
	reset    reset             // the newest, to know it when it comes again
	initial  []message.Message // its answer
	step     uint32
	answer   []message.Message // the answer to step, in lockstep

	said   string // the newest STATUSTEXT
	saidAt time.Time
}

func newVehicle(r robot.Robot, o ServeOptions, start time.Time, send func(*gomavlib.Channel, message.Message)) *vehicle {
	spec := r.Spec()
	v := &vehicle{
		robot:      r,
		spec:       spec,
		system:     o.System,
		heartbeats: o.HeartbeatTimeout,
		commands:   o.CommandTimeout,
		start:      start,
		log:        o.Logger,
		send:       send,
		actuators:  newActuators(spec.Action),
	}
	v.simulator, _ = r.(robot.Simulator)
	return v
}

// handle takes one message from an operator.
func (v *vehicle) handle(ctx context.Context, now time.Time, from peer, m message.Message) {
	if from.system == v.system {
		return // an echo of our own, or another part of the vehicle
	}
	switch m := m.(type) {
	case *common.MessageHeartbeat:
		if from == v.operator {
			v.heard = now
		}
	case *common.MessageCommandLong:
		if v.addressed(m.TargetSystem, m.TargetComponent) {
			v.command(ctx, now, from, m)
		}
	case *common.MessageSetActuatorControlTarget:
		if !v.addressed(m.TargetSystem, m.TargetComponent) || !v.mayMove(from) {
			return
		}
		if v.lockstep {
			v.stepTo(ctx, now, m)
			return
		}
		complete, err := v.actuators.controlTarget(m)
		v.took(now, complete, err)
	case *common.MessageRcChannelsOverride:
		if !v.addressed(m.TargetSystem, m.TargetComponent) || !v.mayMove(from) || v.notInLockstep(now) {
			return
		}
		err := v.actuators.override(m)
		v.took(now, v.actuators.ready(), err)
	}
}

// addressed says whether a message is for this vehicle; 0 means everybody.
func (v *vehicle) addressed(system, comp byte) bool {
	return (system == 0 || system == v.system) && (comp == 0 || comp == component)
}

// mayMove says whether from may command motion now. To others the vehicle says how it is.
func (v *vehicle) mayMove(from peer) bool {
	if v.armed && from == v.operator {
		return true
	}
	v.send(from.channel, v.heartbeat())
	return false
}

// notInLockstep refuses the encodings that cannot tell a repeated command from a new one.
func (v *vehicle) notInLockstep(now time.Time) bool {
	if v.lockstep {
		v.nag(now, common.MAV_SEVERITY_WARNING, "lockstep takes SET_ACTUATOR_CONTROL_TARGET only")
	}
	return v.lockstep
}

// took notes that a command came, or what was wrong with it.
func (v *vehicle) took(now time.Time, complete bool, err error) {
	if err != nil {
		v.nag(now, common.MAV_SEVERITY_WARNING, err.Error())
		return
	}
	if complete {
		v.going = v.commanded.IsZero()
		v.commanded = now
	}
}

// command carries out a COMMAND_LONG and acknowledges it.
func (v *vehicle) command(ctx context.Context, now time.Time, from peer, m *common.MessageCommandLong) {
	switch m.Command {
	case common.MAV_CMD_COMPONENT_ARM_DISARM:
		v.acknowledge(from, m, v.armOrDisarm(ctx, now, from, m), 0)
		v.send(nil, v.heartbeat())
	case common.MAV_CMD_USER_1:
		v.startEpisode(ctx, now, from, m)
	case common.MAV_CMD_DO_SET_ACTUATOR:
		v.acknowledge(from, m, v.setActuator(now, from, m), 0)
	default:
		v.acknowledge(from, m, common.MAV_RESULT_UNSUPPORTED, 0)
	}
}

func (v *vehicle) acknowledge(to peer, m *common.MessageCommandLong, result common.MAV_RESULT, detail int32) {
	v.send(to.channel, &common.MessageCommandAck{
		Command:         m.Command,
		Result:          result,
		ResultParam2:    detail,
		TargetSystem:    to.system,
		TargetComponent: to.component,
	})
}

func (v *vehicle) setActuator(now time.Time, from peer, m *common.MessageCommandLong) common.MAV_RESULT {
	if !v.mayMove(from) || v.notInLockstep(now) {
		return common.MAV_RESULT_DENIED
	}
	err := v.actuators.setActuator(m)
	v.took(now, v.actuators.ready(), err)
	if err != nil {
		return common.MAV_RESULT_DENIED
	}
	return common.MAV_RESULT_ACCEPTED
}

// armOrDisarm arms for an operator as long as no other one has armed, and disarms for
// anybody.
func (v *vehicle) armOrDisarm(ctx context.Context, now time.Time, from peer, m *common.MessageCommandLong) common.MAV_RESULT {
	switch m.Param1 {
	case 0:
		if err := v.disarm(ctx, now, "on command"); err != nil {
			return common.MAV_RESULT_FAILED
		}
		return common.MAV_RESULT_ACCEPTED
	case 1:
	default:
		return common.MAV_RESULT_DENIED
	}
	if v.armed && from != v.operator {
		v.say(now, common.MAV_SEVERITY_WARNING, "armed by another operator")
		return common.MAV_RESULT_DENIED
	}
	if v.armed {
		return common.MAV_RESULT_ACCEPTED
	}
	if err := v.observe(ctx); err != nil {
		v.say(now, common.MAV_SEVERITY_ERROR, "not armed: "+err.Error())
		return common.MAV_RESULT_TEMPORARILY_REJECTED
	}
	v.armed = true
	v.operator, v.heard = from, now
	v.forgetCommands()
	v.log.Info("armed", "operator", from.system, "component", from.component)
	return common.MAV_RESULT_ACCEPTED
}

// disarm makes the robot hold, and reports to everybody if it does not.
func (v *vehicle) disarm(ctx context.Context, now time.Time, why string) error {
	if v.armed {
		v.log.Info("disarmed", "why", why)
	}
	v.armed = false
	v.forgetCommands()
	if v.held {
		return nil
	}
	// The robot must be stopped even if whoever asks for it is about to go.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.heartbeats)
	defer cancel()
	if err := v.robot.Stop(ctx); err != nil {
		v.failing = true
		v.say(now, common.MAV_SEVERITY_CRITICAL, "cannot stop: "+err.Error())
		return fmt.Errorf("stop robot: %w", err)
	}
	v.held = true
	return nil
}

func (v *vehicle) forgetCommands() {
	v.actuators.clear()
	v.commanded = time.Time{}
}

// fail disarms because the robot does not do what it is asked.
func (v *vehicle) fail(ctx context.Context, now time.Time, what string, err error) {
	v.failing = true
	v.log.Error(what, "error", err)
	v.say(now, common.MAV_SEVERITY_CRITICAL, what+": "+err.Error())
	_ = v.disarm(ctx, now, what) // likewise
	v.send(nil, v.heartbeat())
}

// watch disarms when the operator is lost, or gives no commands any more.
func (v *vehicle) watch(ctx context.Context, now time.Time) {
	if v.operator.channel != nil && now.Sub(v.heard) > v.heartbeats {
		v.lose(ctx, now, fmt.Sprintf("no heartbeat of operator for %v", v.heartbeats))
	}
	if v.armed && !v.lockstep && !v.commanded.IsZero() && now.Sub(v.commanded) > v.commands {
		why := fmt.Sprintf("no command for %v", v.commands)
		v.say(now, common.MAV_SEVERITY_WARNING, "disarmed: "+why)
		_ = v.disarm(ctx, now, why) // it said what is wrong, and nobody waits for it
		v.send(nil, v.heartbeat())
	}
}

// closed notes that a channel is gone.
func (v *vehicle) closed(ctx context.Context, now time.Time, channel *gomavlib.Channel) {
	if channel == v.operator.channel {
		v.lose(ctx, now, "operator's connection closed")
	}
}

// lose disarms and goes back to real time: whoever comes next starts afresh.
func (v *vehicle) lose(ctx context.Context, now time.Time, why string) {
	if v.armed {
		v.say(now, common.MAV_SEVERITY_WARNING, "disarmed: "+why)
	}
	v.operator = peer{}
	v.lockstep, v.answer = false, nil
	_ = v.disarm(ctx, now, why) // it said what is wrong, and nobody waits for it
	v.send(nil, v.heartbeat())
}

// tick is one control step in real time: it applies the last command and reports.
func (v *vehicle) tick(ctx context.Context, now time.Time) {
	v.watch(ctx, now)
	if v.lockstep {
		return
	}
	var servos []message.Message
	if v.armed && !v.commanded.IsZero() {
		if err := v.act(ctx); err != nil {
			v.fail(ctx, now, "act", err)
			return
		}
		servos = encodeServos(nil, v.spec.Action, v.actuators.action, v.stamp(now))
	}
	answer, err := v.report(ctx, v.stamp(now))
	if err != nil {
		v.nag(now, common.MAV_SEVERITY_ERROR, err.Error())
		return
	}
	v.sendAll(nil, answer)
	v.sendAll(nil, servos)
}

// act plays the command on the robot.
func (v *vehicle) act(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.commands)
	defer cancel()
	v.held = false
	return v.robot.Act(ctx, v.actuators.action)
}

// observe reads the robot's state.
func (v *vehicle) observe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.commands)
	defer cancel()
	err := v.robot.Observe(ctx, &v.obs)
	if err == nil && len(v.obs.State) != len(v.spec.State) {
		err = fmt.Errorf("state has %d dimensions, want %d", len(v.obs.State), len(v.spec.State))
	}
	for i, x := range v.obs.State {
		if err == nil && !finite(x) {
			err = fmt.Errorf("state dimension %d is %v", i, x)
		}
	}
	v.failing = err != nil
	if err != nil {
		return fmt.Errorf("observe: %w", err)
	}
	return nil
}

// report observes and returns the messages that say what was seen: the score first, so
// that who has the state has both.
func (v *vehicle) report(ctx context.Context, stamp uint64) ([]message.Message, error) {
	if err := v.observe(ctx); err != nil {
		return nil, err
	}
	var answer []message.Message
	var err error
	if v.simulator != nil {
		score := v.simulator.Score()
		numbers := []float32{float32(score.Reward), number(score.Success), number(score.Done), float32(score.Step)}
		if answer, err = appendVector(answer, vectorScore, stamp, numbers); err != nil {
			return nil, err
		}
	}
	return appendVector(answer, vectorState, stamp, v.obs.State)
}

func number(b bool) float32 {
	if b {
		return 1
	}
	return 0
}

// stepTo takes a command in lockstep. Only the one that asks for the next step moves the
// world; one that asks for the step just made is a repeat and gets the same answer.
func (v *vehicle) stepTo(ctx context.Context, now time.Time, m *common.MessageSetActuatorControlTarget) {
	if v.step > 0 && m.TimeUsec == stepStamp(v.reset.episode, v.step) && m.GroupMlx == 0 {
		v.sendAll(v.operator.channel, v.answer)
		return
	}
	next := stepStamp(v.reset.episode, v.step+1)
	if m.TimeUsec != next {
		return // late, or of another episode
	}
	complete, err := v.actuators.controlTarget(m)
	v.took(now, complete, err)
	if err != nil || !complete {
		return
	}
	if err := v.act(ctx); err != nil {
		v.fail(ctx, now, "act", err)
		return
	}
	v.step++
	answer, err := v.report(ctx, next)
	if err != nil {
		v.fail(ctx, now, "step", err)
		return
	}
	v.answer = answer
	v.sendAll(nil, answer)
}

// startEpisode resets a simulator. A command that is there again, because its answer was
// lost, is answered again and not carried out again.
func (v *vehicle) startEpisode(ctx context.Context, now time.Time, from peer, m *common.MessageCommandLong) {
	want, err := decodeReset(m)
	refuse := func(result common.MAV_RESULT, why string) {
		v.say(now, common.MAV_SEVERITY_ERROR, why)
		v.acknowledge(from, m, result, int32(want.episode))
	}
	switch {
	case v.simulator == nil:
		refuse(common.MAV_RESULT_UNSUPPORTED, "this robot is not a simulator")
		return
	case err != nil:
		refuse(common.MAV_RESULT_DENIED, err.Error())
		return
	case v.armed && from != v.operator:
		refuse(common.MAV_RESULT_DENIED, "armed by another operator")
		return
	case want == v.reset && from == v.operator:
		v.acknowledge(from, m, common.MAV_RESULT_ACCEPTED, int32(want.episode))
		v.sendAll(from.channel, v.initial)
		v.send(from.channel, v.heartbeat())
		return
	}
	if v.initial, err = v.begin(ctx, now, want); err != nil {
		v.failing = true
		v.reset = reset{} // so that it can be tried again
		v.log.Error("reset", "seed", want.seed, "error", err)
		refuse(common.MAV_RESULT_FAILED, err.Error())
		return
	}
	v.operator, v.heard = from, now
	v.log.Info("reset", "seed", want.seed, "episode", want.episode, "lockstep", want.lockstep)
	v.acknowledge(from, m, common.MAV_RESULT_ACCEPTED, int32(want.episode))
	v.sendAll(nil, v.initial)
	v.send(nil, v.heartbeat())
}

// begin resets the world and returns the messages that describe it.
func (v *vehicle) begin(ctx context.Context, now time.Time, want reset) ([]message.Message, error) {
	state, err := v.simulator.Reset(ctx, want.seed)
	if err != nil {
		return nil, fmt.Errorf("reset: %w", err)
	}
	v.reset, v.lockstep, v.step, v.answer = want, want.lockstep, 0, nil
	v.forgetCommands()
	numbers := []float32{float32(want.episode)}
	for _, x := range state {
		numbers = append(numbers, float32(x))
	}
	stamp := v.stamp(now)
	initial, err := appendVector(nil, vectorInitial, stamp, numbers)
	if err != nil {
		return nil, err
	}
	answer, err := v.report(ctx, stamp)
	if err != nil {
		return nil, err
	}
	return append(initial, answer...), nil
}

// stamp is time_usec of what the vehicle reports: in lockstep the step, otherwise the
// time since 1970 by a clock that does not jump while the vehicle runs.
func (v *vehicle) stamp(now time.Time) uint64 {
	if v.lockstep {
		return stepStamp(v.reset.episode, v.step)
	}
	return clock(v.start, now)
}

// clock returns the microseconds from 1970 to start by the wall, and from there to now by
// the monotonic clock.
func clock(start, now time.Time) uint64 {
	return uint64(start.UnixMicro() + now.Sub(start).Microseconds())
}

// beat says to everybody that the vehicle is there, and what it is.
func (v *vehicle) beat(now time.Time) {
	v.introduce(nil, now)
}

// introduce says so to one channel.
func (v *vehicle) introduce(to *gomavlib.Channel, now time.Time) {
	v.send(to, v.heartbeat())
	spec, err := appendVector(nil, vectorSpec, v.stamp(now), describe(v.spec, v.simulator != nil))
	if err != nil {
		v.log.Error("describe robot", "error", err)
		return
	}
	v.sendAll(to, spec)
}

func (v *vehicle) heartbeat() *common.MessageHeartbeat {
	m := &common.MessageHeartbeat{
		Type:           common.MAV_TYPE_GENERIC,
		Autopilot:      common.MAV_AUTOPILOT_GENERIC,
		BaseMode:       common.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED,
		CustomMode:     modeRealTime,
		SystemStatus:   common.MAV_STATE_STANDBY,
		MavlinkVersion: 3,
	}
	if v.simulator != nil {
		m.BaseMode |= common.MAV_MODE_FLAG_HIL_ENABLED
	}
	if v.armed {
		m.BaseMode |= common.MAV_MODE_FLAG_SAFETY_ARMED
		m.SystemStatus = common.MAV_STATE_ACTIVE
	}
	if v.failing {
		m.SystemStatus = common.MAV_STATE_CRITICAL
	}
	if v.lockstep {
		m.CustomMode = modeLockstep
	}
	return m
}

// say tells operators and the log something in words. MAVLink takes 50 bytes.
func (v *vehicle) say(now time.Time, severity common.MAV_SEVERITY, words string) {
	v.said, v.saidAt = words, now
	v.log.Warn(words)
	v.send(nil, &common.MessageStatustext{Severity: severity, Text: words[:min(len(words), 50)]})
}

// nag is say for what would be said at every control step: once a second is enough.
func (v *vehicle) nag(now time.Time, severity common.MAV_SEVERITY, words string) {
	if words != v.said || now.Sub(v.saidAt) >= nagPeriod {
		v.say(now, severity, words)
	}
}

func (v *vehicle) sendAll(to *gomavlib.Channel, all []message.Message) {
	for _, m := range all {
		v.send(to, m)
	}
}
