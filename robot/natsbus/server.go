package natsbus

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// maxPayload is the largest message of the embedded server: a lossless 1280x720 picture.
const maxPayload = 8 << 20

// Server is a NATS server inside this program.
type Server struct {
	// URL is where clients on this machine reach the server.
	URL string

	nats *server.Server
}

// StartServer starts a NATS server on a free port of the loopback interface. It keeps
// nothing on disk and logs nothing. It returns once clients can connect.
func StartServer() (*Server, error) {
	s, err := server.NewServer(&server.Options{
		Host:       "127.0.0.1",
		Port:       server.RANDOM_PORT,
		MaxPayload: maxPayload,
		NoLog:      true,
		NoSigs:     true, // signals belong to the program
	})
	if err != nil {
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(5 * time.Second) {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, errors.New("start NATS server: not ready after 5 s")
	}
	return &Server{URL: s.ClientURL(), nats: s}, nil
}

// Shutdown disconnects all clients, ends the server and waits until it has ended.
func (s *Server) Shutdown() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}
