package mavlink

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// address is where the other end is, or where it is waited for.
type address struct {
	scheme string // udp, udpin, tcp, tcpin or serial
	target string // HOST:PORT, or the serial device
	baud   int    // serial only
}

// addressForms is what an error about an address ends with.
const addressForms = "want udp:HOST:PORT, udpin:HOST:PORT, tcp:HOST:PORT, tcpin:HOST:PORT or serial:DEVICE:BAUD"

// parseAddress reads one of
//
//	udp:HOST:PORT       send to HOST
//	udpin:HOST:PORT     wait for datagrams at the local address HOST; empty means all
//	tcp:HOST:PORT       connect to HOST
//	tcpin:HOST:PORT     wait for connections at the local address HOST; empty means all
//	serial:DEVICE:BAUD  a serial line, 8 data bits, no parity, one stop bit
//
// An IPv6 host stands in brackets. Port 0, where it waits, means any free port.
func parseAddress(s string) (address, error) {
	scheme, target, ok := strings.Cut(s, ":")
	if !ok {
		return address{}, fmt.Errorf("address %q: no scheme: %s", s, addressForms)
	}
	switch scheme {
	case "serial":
		return parseSerial(s, target)
	case "udp", "udpin", "tcp", "tcpin":
	default:
		return address{}, fmt.Errorf("address %q: unknown scheme %q: %s", s, scheme, addressForms)
	}
	waits := strings.HasSuffix(scheme, "in")
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return address{}, fmt.Errorf("address %q: %w: %s", s, err, addressForms)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return address{}, fmt.Errorf("address %q: port %q is not a number from 0 to 65535", s, port)
	}
	if !waits && number == 0 {
		return address{}, fmt.Errorf("address %q: port 0 can be listened at, not sent to", s)
	}
	if !waits && host == "" {
		return address{}, fmt.Errorf("address %q: no host to send to", s)
	}
	return address{scheme: scheme, target: net.JoinHostPort(host, strconv.FormatUint(number, 10))}, nil
}

// parseSerial splits at the last colon, for device names may hold colons.
func parseSerial(s, target string) (address, error) {
	at := strings.LastIndexByte(target, ':')
	if at <= 0 {
		return address{}, fmt.Errorf("address %q: want serial:DEVICE:BAUD, as serial:/dev/ttyACM0:57600", s)
	}
	baud, err := strconv.Atoi(target[at+1:])
	if err != nil || baud <= 0 {
		return address{}, fmt.Errorf("address %q: baud rate %q is not a positive number", s, target[at+1:])
	}
	return address{scheme: "serial", target: target[:at], baud: baud}, nil
}

// waits says whether the address is one to wait at.
func (a address) waits() bool { return a.scheme == "udpin" || a.scheme == "tcpin" }

func (a address) String() string {
	if a.scheme == "serial" {
		return fmt.Sprintf("serial:%s:%d", a.target, a.baud)
	}
	return a.scheme + ":" + a.target
}
