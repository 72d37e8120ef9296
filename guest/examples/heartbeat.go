// The smallest whole application in Go, with its standard library alone: registers as NAME, and is healthy while FILE
// exists. proto-spec/application-socket.md is the contract.
//
//	go run heartbeat.go NAME FILE
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

type message struct {
	Version  int    `json:"version"`
	Type     string `json:"type"`
	ID       int    `json:"id,omitempty"`
	Name     string `json:"name,omitempty"`
	Interval int    `json:"interval_ms,omitempty"`
	Timeout  int    `json:"timeout_ms,omitempty"`
	Query    *int64 `json:"query,omitempty"`
	Healthy  bool   `json:"healthy"`
	Reason   string `json:"reason,omitempty"`
	Message  string `json:"message,omitempty"`
}

func withHealth(m message, file string) message {
	m.Version = 1
	_, err := os.Stat(file)
	m.Healthy = err == nil
	if !m.Healthy {
		m.Reason = fmt.Sprintf("%.200s is missing", file) // a message has at most 8192 bytes
	}
	return m
}

func send(connection net.Conn, m message) error {
	datagram, err := json.Marshal(m)
	if err == nil {
		_, err = connection.Write(datagram)
	}
	return err
}

// serve registers and answers until the connection ends or vitalwired refuses.
func serve(path, name, file string) error {
	connection, err := net.Dial("unixpacket", path) // SOCK_SEQPACKET
	if err != nil {
		return err
	}
	defer connection.Close()
	registration := message{Type: "register", ID: 1, Name: name, Interval: 500, Timeout: 500}
	if err := send(connection, withHealth(registration, file)); err != nil {
		return err
	}
	buffer := make([]byte, 8192)
	for {
		size, err := connection.Read(buffer)
		if err != nil {
			return err
		}
		var m message
		if json.Unmarshal(buffer[:size], &m) != nil {
			continue
		}
		switch m.Type {
		case "registered":
			fmt.Fprintln(os.Stderr, "registered")
		case "refused":
			return errors.New(m.Message)
		case "query":
			answer := message{Type: "report", ID: 1, Query: m.Query}
			if err := send(connection, withHealth(answer, file)); err != nil {
				return err
			}
		}
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: heartbeat NAME FILE")
		os.Exit(2)
	}
	path := os.Getenv("VITALWIRE_SOCKET")
	if path == "" {
		path = "/run/vitalwire/guest.sock"
	}
	for {
		fmt.Fprintln(os.Stderr, "not watched:", serve(path, os.Args[1], os.Args[2]))
		time.Sleep(time.Second)
	}
}
