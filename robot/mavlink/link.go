package mavlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/bluenviron/gomavlib/v3"
	"github.com/bluenviron/gomavlib/v3/pkg/dialect"
	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
	"github.com/bluenviron/gomavlib/v3/pkg/frame"
	"github.com/bluenviron/gomavlib/v3/pkg/message"
	"github.com/pion/transport/v2/udp"
	"go.bug.st/serial"
)

// heartbeatPeriod is the time between two heartbeats, of the vehicle and the operator.
const heartbeatPeriod = time.Second

// messages are those that both ends read and write; others arrive undecoded.
var messages = []message.Message{
	&common.MessageHeartbeat{},
	&common.MessageServoOutputRaw{},
	&common.MessageRcChannelsOverride{},
	&common.MessageCommandLong{},
	&common.MessageCommandAck{},
	&common.MessageSetActuatorControlTarget{},
	&common.MessageStatustext{},
	&common.MessageDebugFloatArray{},
}

// link is one end of a MAVLink connection.
type link struct {
	node  *gomavlib.Node
	local net.Addr // where it waits; nil if it does not
	key   *Key
	guard replayGuard // used by the goroutine that reads the node's events

	mu      sync.Mutex
	trouble error // the newest reason for hearing nothing
}

// openLink opens the address as the MAVLink system and component from.
func openLink(at address, from target, key *Key) (*link, error) {
	l := &link{key: key}
	endpoint, listener, err := l.endpoint(at)
	if err != nil {
		return nil, fmt.Errorf("open %v: %w", at, err)
	}
	l.node = &gomavlib.Node{
		Endpoints:        []gomavlib.EndpointConf{endpoint},
		Dialect:          &dialect.Dialect{Version: 3, Messages: messages},
		OutVersion:       gomavlib.V2,
		OutSystemID:      from.system,
		OutComponentID:   from.component,
		HeartbeatDisable: true, // gomavlib's own cannot tell whether the vehicle is armed
		WriteTimeout:     time.Second,
	}
	if key != nil {
		l.node.InKey, l.node.OutKey = (*frame.V2Key)(key), (*frame.V2Key)(key)
	}
	if err := l.node.Initialize(); err != nil {
		if listener != nil {
			_ = listener.Close()
		}
		return nil, fmt.Errorf("open %v: %w", at, err)
	}
	return l, nil
}

// endpoint says how gomavlib reaches the address. Where it waits, the listener is open
// already, so that the port that was chosen for port 0 is known.
func (l *link) endpoint(at address) (gomavlib.EndpointConf, net.Listener, error) {
	if !at.waits() {
		return gomavlib.EndpointCustomClient{
			Label: at.String(),
			Connect: func(ctx context.Context) (net.Conn, error) {
				conn, err := connect(ctx, at)
				if err != nil {
					l.note(err)
				}
				return conn, err
			},
		}, nil, nil
	}
	listener, err := listen(at)
	if err != nil {
		return nil, nil, err
	}
	l.local = listener.Addr()
	return gomavlib.EndpointCustomServer{
		Label:  at.scheme,
		Listen: func() (net.Listener, error) { return listener, nil },
	}, listener, nil
}

func connect(ctx context.Context, at address) (net.Conn, error) {
	if at.scheme == "serial" {
		port, err := serial.Open(at.target, &serial.Mode{BaudRate: at.baud})
		if err != nil {
			return nil, fmt.Errorf("open serial port %s: %w", at.target, err)
		}
		return serialLine{Port: port}, nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, at.scheme, at.target)
	if err != nil {
		return nil, err
	}
	if at.scheme == "udp" {
		return newDatagrams(conn), nil
	}
	return conn, nil
}

func listen(at address) (net.Listener, error) {
	if at.scheme == "tcpin" {
		return net.Listen("tcp", at.target)
	}
	local, err := net.ResolveUDPAddr("udp", at.target)
	if err != nil {
		return nil, err
	}
	listener, err := udp.Listen("udp", local)
	if err != nil {
		return nil, err
	}
	return datagramListener{listener}, nil
}

// note remembers why nothing is heard.
func (l *link) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble = err
}

// why returns the newest reason for hearing nothing, or nil.
func (l *link) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble
}

// accept reports whether a frame may be believed: without a key every frame may.
func (l *link) accept(e *gomavlib.EventFrame) bool {
	if l.key == nil {
		return true
	}
	f, ok := e.Frame.(*frame.V2Frame)
	if !ok {
		return false
	}
	if err := l.guard.check(f, time.Now()); err != nil {
		l.note(err)
		return false
	}
	return true
}

// close ends the connection and waits for its goroutines.
func (l *link) close() { l.node.Close() }

// datagrams makes a UDP connection readable as a stream. A plain read loses what does not
// fit its buffer, and ends with an error when nobody is at the other end yet; here that
// is a lost datagram like any other.
type datagrams struct {
	net.Conn
	buffer, rest []byte
}

func newDatagrams(c net.Conn) *datagrams { return &datagrams{Conn: c, buffer: make([]byte, 1<<16)} }

func (d *datagrams) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		n, err := d.Conn.Read(d.buffer)
		if err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			return 0, err
		}
		d.rest = d.buffer[:n]
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func (d *datagrams) Write(p []byte) (int, error) {
	n, err := d.Conn.Write(p)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return len(p), nil
	}
	return n, err
}

type datagramListener struct{ net.Listener }

func (l datagramListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newDatagrams(conn), nil
}

// serialLine makes a serial port a net.Conn. It has no deadlines: its writes end by
// themselves, and Close ends a read.
type serialLine struct{ serial.Port }

func (serialLine) LocalAddr() net.Addr              { return nil }
func (serialLine) RemoteAddr() net.Addr             { return nil }
func (serialLine) SetDeadline(time.Time) error      { return nil }
func (serialLine) SetReadDeadline(time.Time) error  { return nil }
func (serialLine) SetWriteDeadline(time.Time) error { return nil }
