package natsbus

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// sendState publishes the newest pictures and then the newest state.
func (s *Service) sendState() {
	if s.state == nil {
		return
	}
	for camera, picture := range s.pictures {
		s.stamp(s.observed)
		setHeader(s.header, headerSequence, strconv.FormatUint(s.number, 10))
		setHeader(s.header, headerType, s.encoder.contentType())
		s.publish(s.subjects.camera+camera, picture.Bytes())
	}
	s.stampState()
	s.publish(s.subjects.state, s.state)
}

// stampState fills the headers of the newest state.
func (s *Service) stampState() {
	s.stamp(s.observed)
	setHeader(s.header, headerSequence, strconv.FormatUint(s.number, 10))
	s.acknowledge(s.session.id, s.session.sequence)
}

// acknowledge names in the header the client's message that the next message answers.
func (s *Service) acknowledge(session string, sequence uint64) {
	if session == "" {
		return
	}
	setHeader(s.header, headerSession, session)
	setHeader(s.header, headerAck, strconv.FormatUint(sequence, 10))
}

// stamp empties the header, but for the time t.
func (s *Service) stamp(t time.Time) {
	delete(s.header, headerSession)
	delete(s.header, headerAck)
	delete(s.header, headerSequence)
	delete(s.header, headerType)
	setHeader(s.header, headerMonotonic, strconv.FormatInt(t.Sub(s.start).Nanoseconds(), 10))
	setHeader(s.header, headerWall, strconv.FormatInt(t.UnixNano(), 10))
}

// publish sends with the header as it stands. What cannot be sent is lost, as it would be
// on its way: the next one is due soon.
func (s *Service) publish(subject string, data []byte) {
	if err := s.conn.PublishMsg(&nats.Msg{Subject: subject, Header: s.header, Data: data}); err != nil {
		s.log.Debug("publish", "subject", subject, "error", err)
	}
}

// beat publishes a heartbeat.
func (s *Service) beat(mode string) {
	m := heartbeatMessage{Mode: mode}
	if mode == modeRealTime || mode == modeLockstep {
		m.Session = s.session.id
	}
	data, _ := json.Marshal(m) // strings only
	s.stamp(time.Now())
	s.publish(s.subjects.heartbeat, data)
}

func (s *Service) publishFailure(session string, sequence uint64, f *failure) {
	data, _ := json.Marshal(replyMessage{Error: f}) // strings only
	s.stamp(time.Now())
	s.acknowledge(session, sequence)
	s.publish(s.subjects.failure, data)
}
