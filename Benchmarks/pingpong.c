// Requests and answers of one byte over one TCP connection, as many as fit into a time: pingpong ADDRESS SECONDS prints
// how many a second there were; pingpong ADDRESS answers one client. Port 5202.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int count, char **words) {
  if (count < 2) return 2;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(5202)};
  inet_pton(AF_INET, words[1], &address.sin_addr);
  int one = 1, connection = socket(AF_INET, SOCK_STREAM, 0);
  char byte = 'x';
  setsockopt(connection, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (count == 2) {
    if (bind(connection, (struct sockaddr *)&address, sizeof address) < 0 || listen(connection, 1) < 0) return 1;
    puts("listening");
    fflush(stdout);
    connection = accept(connection, NULL, NULL);
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (read(connection, &byte, 1) == 1 && write(connection, &byte, 1) == 1) continue;
    return 0;
  }
  if (connect(connection, (struct sockaddr *)&address, sizeof address) < 0) return 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  double end = now() + atof(words[2]), begin = now(), last = begin;
  long rounds = 0;
  for (; last < end; rounds++) {
    if (write(connection, &byte, 1) != 1 || read(connection, &byte, 1) != 1) return 1;
    last = now();
  }
  printf("%.1f\n", rounds / (last - begin));
}
