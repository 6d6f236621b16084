import Errors
import Glibc
import Linux

func setNonBlocking(_ descriptor: Int32) { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }

func shutDown(_ descriptor: Int32) throws { try check(shutdown(descriptor, Int32(SHUT_RDWR)), "cannot shut down") }
