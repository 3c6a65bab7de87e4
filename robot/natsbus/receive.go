package natsbus

import (
	"encoding/json"
	"fmt"
	"image"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"govla/actions"
	"govla/robot"
)

// receive takes the robot's messages until the driver leaves. Decoding is done here and
// not in Observe, and only for the newest state and its pictures when several wait.
func (d *driver) receive() {
	for {
		select {
		case <-d.done:
			return
		case m := <-d.inbox:
			d.take(m)
		}
		if d.pending != nil && len(d.inbox) == 0 {
			m := d.pending
			d.pending = nil
			if err := d.assemble(m); err != nil {
				d.report(fmt.Errorf("%s at %s: %w", m.Subject, d.url, err))
			}
		}
	}
}

// take sorts one message.
func (d *driver) take(m *nats.Msg) {
	switch m.Subject {
	case d.subjects.state:
		d.pending = m
	case d.subjects.failure:
		d.refused(m)
	case d.subjects.heartbeat:
		d.heard(m)
	case d.retries:
		if isNoResponders(m) {
			d.report(fmt.Errorf("%w: nobody answers on %s at %s any more", robot.ErrStale, d.subjects.command, d.url))
		}
	default:
		camera := strings.TrimPrefix(m.Subject, d.subjects.camera)
		if !slices.Contains(d.spec.Cameras, camera) {
			return
		}
		number, err := headerNumber(m.Header, headerSequence)
		if err != nil {
			d.report(fmt.Errorf("%s at %s: %w", m.Subject, d.url, err))
			return
		}
		d.pictures[camera] = picture{number, m.Data}
	}
}

// assemble makes a state and its pictures the newest frame. A state that has lost a
// picture on the way is left out: the next one, or the repetition in lockstep, has it.
func (d *driver) assemble(m *nats.Msg) error {
	f := &d.spare
	if err := decodeState(m.Data, &d.spec, &f.stateMessage); err != nil {
		return err
	}
	number, err := headerNumber(m.Header, headerSequence)
	if err != nil {
		return err
	}
	if f.ack, err = headerNumber(m.Header, headerAck); err != nil {
		return err
	}
	f.session = m.Header.Get(headerSession)
	if f.images == nil && len(d.spec.Cameras) > 0 {
		f.images = make(map[string]image.Image, len(d.spec.Cameras))
	}
	clear(f.images)
	for _, camera := range d.spec.Cameras {
		p := d.pictures[camera]
		if p.data == nil || p.number != number {
			return nil
		}
		if f.images[camera], err = decodePicture(p.data); err != nil {
			return fmt.Errorf("camera %s: %w", camera, err)
		}
	}
	f.arrival = time.Now()
	d.receiving.Lock()
	d.newest, d.spare = d.spare, d.newest
	d.receiving.Unlock()
	d.wake()
	return nil
}

// answers says whether f is the result of the session's message number, or of a later
// one; any frame is an answer to message 0.
func (f *frame) answers(session string, number uint64) bool {
	if number == 0 {
		return !f.arrival.IsZero()
	}
	return f.session == session && f.ack >= number
}

// copyTo fills obs without sharing memory that is written again.
func (f *frame) copyTo(obs *actions.Observation) {
	obs.Instruction = f.Instruction
	obs.State = append(obs.State[:0], f.State...)
	if len(f.images) == 0 {
		obs.Images = nil
		return
	}
	if obs.Images == nil {
		obs.Images = make(map[string]image.Image, len(f.images))
	}
	clear(obs.Images)
	maps.Copy(obs.Images, f.images)
}

// refused keeps a failure that concerns this driver.
func (d *driver) refused(m *nats.Msg) {
	if m.Header.Get(headerSession) != d.session {
		return
	}
	number, err := headerNumber(m.Header, headerAck)
	if err != nil {
		d.report(fmt.Errorf("%s at %s: %w", m.Subject, d.url, err))
		return
	}
	reply, err := decodeReply(m.Data)
	if err != nil {
		d.report(fmt.Errorf("%s at %s: %w", m.Subject, d.url, err))
		return
	}
	d.receiving.Lock()
	if reply.Error != nil && number > d.settled {
		d.fault = reply.Error.error()
	}
	d.receiving.Unlock()
	d.wake()
}

// heard learns from a heartbeat that the robot has left the bus, or has come back.
func (d *driver) heard(m *nats.Msg) {
	var beat heartbeatMessage
	if err := json.Unmarshal(m.Data, &beat); err != nil {
		d.report(fmt.Errorf("%s at %s: decode heartbeat: %w", m.Subject, d.url, err))
		return
	}
	d.receiving.Lock()
	d.gone = nil
	if beat.Mode == modeOffline {
		d.gone = fmt.Errorf("%w: it has left the bus at %s", robot.ErrStale, d.url)
	}
	d.receiving.Unlock()
	d.wake()
}

// report keeps an error for the next Observe or Act.
func (d *driver) report(err error) {
	d.receiving.Lock()
	d.fault = err
	d.receiving.Unlock()
	d.wake()
}

// trouble returns what keeps the robot from being driven, if anything. The caller holds
// receiving.
func (d *driver) trouble() error {
	if err := d.fault; err != nil {
		d.fault = nil
		return err
	}
	return d.gone
}

// settle drops the refusals of messages up to number: their sender knows.
func (d *driver) settle(number uint64) {
	d.receiving.Lock()
	defer d.receiving.Unlock()
	d.settled = number
	d.fault = nil
}

// wake makes await look again.
func (d *driver) wake() {
	select {
	case d.arrived <- struct{}{}:
	default: // it has not looked yet
	}
}
