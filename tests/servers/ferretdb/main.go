// A MongoDB-protocol server on SQLite for tests: FerretDB as a package, since its own command needs a build of its
// repository.
//
// MongoDB changes one document atomically. FerretDB 1.24 reads, decides and writes in three steps, so that of two
// writers that saw one version both succeed. Hence the lock in front: one command at a time.
package main

import (
	"context"
	"encoding/binary"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

const (
	headerBytes = 16
	opMsg       = 2013
	moreToCome  = 1 << 1 // the sender expects no answer
)

var oneAtATime sync.Mutex

// Usage: ferretdb HOST:PORT FOLDER
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	folder, err := os.MkdirTemp("", "ferretdb")
	check(err)
	defer os.RemoveAll(folder)
	inner := filepath.Join(folder, "socket") // not below FOLDER: a socket's path is short
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: inner},
		Handler:   "sqlite",
		SQLiteURL: "file:" + os.Args[2] + "/",
	})
	check(err)
	listener, err := net.Listen("tcp", os.Args[1])
	check(err)
	go serve(listener, inner)
	if err := server.Run(ctx); err != nil {
		log.Print(err)
	}
}

func serve(listener net.Listener, inner string) {
	for {
		client, err := listener.Accept()
		check(err)
		go forward(client, inner)
	}
}

func forward(client net.Conn, inner string) {
	defer client.Close()
	server, err := net.Dial("unix", inner)
	if err != nil {
		return
	}
	defer server.Close()
	for {
		command, err := message(client)
		if err != nil {
			return
		}
		answer, err := ask(server, command)
		if err != nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func ask(server net.Conn, command []byte) ([]byte, error) {
	oneAtATime.Lock()
	defer oneAtATime.Unlock()
	if _, err := server.Write(command); err != nil {
		return nil, err
	}
	isMsg := binary.LittleEndian.Uint32(command[12:]) == opMsg
	if isMsg && binary.LittleEndian.Uint32(command[headerBytes:])&moreToCome != 0 {
		return nil, nil
	}
	return message(server)
}

// message reads a whole message of the wire protocol: its first four bytes are its length.
func message(from io.Reader) ([]byte, error) {
	header := make([]byte, headerBytes)
	if _, err := io.ReadFull(from, header); err != nil {
		return nil, err
	}
	length := int(binary.LittleEndian.Uint32(header))
	if length < headerBytes+4 || length > 64<<20 {
		return nil, io.ErrUnexpectedEOF
	}
	whole := make([]byte, length)
	copy(whole, header)
	_, err := io.ReadFull(from, whole[headerBytes:])
	return whole, err
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
