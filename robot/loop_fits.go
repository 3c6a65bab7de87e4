package robot

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"govla/actions"
)

// fits reports everything in which the policy, the robot and the loop's settings differ.
func (l *Loop) fits(policy actions.PolicySpec, robot Spec) error {
	var errs []error
	differ := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if len(policy.State) > 0 { // a policy may see nothing but pictures
		if err := robot.State.SameNames(policy.State); err != nil {
			differ("state: %w", err)
		}
	}
	if err := robot.Action.SameNames(policy.Action); err != nil {
		differ("action: %w", err)
	}
	for _, camera := range policy.Cameras {
		if !slices.Contains(robot.Cameras, camera) {
			differ("cameras: have %q, want %q", robot.Cameras, camera)
		}
	}
	if policy.ObservationSteps < 1 || policy.Horizon < policy.ObservationSteps {
		differ("policy: window of %d observations and horizon of %d actions, want at least 1 and no fewer actions than observations", policy.ObservationSteps, policy.Horizon)
	} else if most := policy.Horizon - policy.ObservationSteps + 1; l.Execute < 1 || l.Execute > most {
		differ("execute %d actions of each chunk, want 1 to %d: a horizon of %d less the %d that are past", l.Execute, most, policy.Horizon, policy.ObservationSteps-1)
	}

	_, simulator := l.Robot.(Simulator)
	switch {
	case !(policy.Rate > 0) || math.IsInf(policy.Rate, 0):
		differ("rate: the policy's is %v a second, want a positive number", policy.Rate)
	case l.Rate == 0 && !simulator:
		differ("rate: lockstep needs a simulator")
	case l.Rate == 0 && !sameRate(robot.Rate, policy.Rate):
		differ("rate: the robot has %v control steps a second, want the policy's %v", robot.Rate, policy.Rate)
	case l.Rate != 0 && !sameRate(l.Rate, policy.Rate):
		differ("rate: the loop has %v ticks a second, want the policy's %v", l.Rate, policy.Rate)
	case l.Rate != 0 && robot.Rate < l.Rate && !sameRate(robot.Rate, l.Rate):
		differ("rate: the robot takes %v actions a second, want at least %v", robot.Rate, l.Rate)
	}
	if l.MaxSteps < 0 || l.HoldLimit < 0 || l.Failures < 0 {
		differ("maximum of %d steps, hold limit %v, %d failures: want none below 0", l.MaxSteps, l.HoldLimit, l.Failures)
	}
	switch most := policy.Horizon - policy.ObservationSteps; { // ticks
	case l.Latency < 0:
		differ("latency %v: want none below 0", l.Latency)
	case l.Latency > 0 && l.Rate != 0:
		differ("latency %v: only lockstep takes one, in real time it is what it is", l.Latency)
	case l.Latency > 0 && ticks(l.Latency, policy.Rate) > most:
		differ("latency %v: want at most the %.3g s that a chunk reaches ahead", l.Latency, float64(most)/policy.Rate)
	}
	return errors.Join(errs...)
}

// sameRate allows for rates that were rounded on their way through a file.
func sameRate(a, b float64) bool { return math.Abs(a-b) <= 1e-3*b }
