"""What happens around every call: request context, metrics, errors, authentication, authorisation.

One interceptor does all of it, in this order, and tracing wraps around it
where it is on: a coroutine per concern would cost more than the calls do.
"""

from services.chassis.interceptors.calls import Calls
from services.chassis.interceptors.server import ServerInterceptor

__all__ = ["Calls", "ServerInterceptor"]
