/* What the tests' pods run: tells in its termination message what it sees from inside. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(const char *text) {
    FILE *message = fopen("/dev/termination-log", "w");
    if (!message || fputs(text, message) < 0 || fclose(message))
        exit(EXIT_FAILURE);
}

/* self: the user, and why nothing can be written to the root file system. */
static void self(void) {
    char text[200];
    int file = open("/file", O_CREAT | O_WRONLY, 0600);
    snprintf(text, sizeof text, "user %d: %s", getuid(), file < 0 ? strerror(errno) : "wrote");
    say(text);
}

static struct sockaddr_in address(const char *host, const char *port) {
    struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    inet_pton(AF_INET, host, &found.sin_addr);
    return found;
}

/* fetch HOST PORT: what is answered there. */
static void fetch(const char *host, const char *port) {
    char text[200] = "";
    struct sockaddr_in there = address(host, port);
    int link = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(link, (struct sockaddr *)&there, sizeof there))
        strcpy(text, strerror(errno));
    else if (read(link, text, sizeof text - 1) < 0)
        strcpy(text, strerror(errno));
    say(text);
}

/* serve PORT TEXT: answer with a text, for ever. */
static void serve(const char *port, const char *text) {
    struct sockaddr_in here = address("0.0.0.0", port);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 8))
        exit(EXIT_FAILURE);
    for (;;) {
        int link = accept(listener, NULL, NULL);
        if (write(link, text, strlen(text)) < 0)
            perror("write");
        close(link);
    }
}

int main(int count, char **words) {
    if (count == 2 && !strcmp(words[1], "self"))
        self();
    else if (count == 4 && !strcmp(words[1], "fetch"))
        fetch(words[2], words[3]);
    else if (count == 4 && !strcmp(words[1], "serve"))
        serve(words[2], words[3]);
    else
        return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
