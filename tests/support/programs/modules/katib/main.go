// Katib's suggestion service goptuna. Katib's own main listens on a fixed port of all addresses, so
// that one machine could have one search; here the address is an argument.
package main

import (
	"log"
	"net"
	"os"

	api "github.com/kubeflow/katib/pkg/apis/manager/v1beta1"
	suggestion "github.com/kubeflow/katib/pkg/suggestion/v1beta1/goptuna"
	"google.golang.org/grpc"
)

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	api.RegisterSuggestionServer(server, suggestion.NewSuggestionService())
	log.Fatal(server.Serve(listener))
}
