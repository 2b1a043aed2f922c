# SPDX-License-Identifier: Apache-2.0
"""Which connections belong together: the client's, HBONE's and the server's, as probabilities.

A proxy ends one TCP connection and opens another, so no packet of the one is in the other.  What
links them is that *something happens on one shortly after something happened on the other*, and
that what they carry has the same size and, where it can be read, the same content.

**The events.**  A client's connection (outbound leg) and a server's (inbound leg) have the same
events in the same order: it is opened, messages begin in either direction, either direction is
closed.  Each is carried between the two proxies by one HTTP/2 frame in one TLS record of an HBONE
connection, where without keys only the record's time and length can be seen:

    outbound leg          HBONE record                inbound leg
    SYN               →   CONNECT                 →   SYN
    request begins    →   DATA                    →   request begins
    response begins   ←   DATA                    ←   response begins
    FIN               →   END_STREAM              →   FIN         (and the same the other way)

**The likelihood.**  For each kind of event, and for each of the two proxies, events and records are
matched (`matching`): one to one, as far as a record can hold several frames (`frames`), under a
distribution of delays that nobody knows beforehand and that is therefore learnt from the capture
itself.  A pair of legs is then as likely as it is that the two have the same record, the product
over all events, over all HBONE connections that could have carried them (`link`).  Splitting the
way at the record is what makes this sharp: the record is the same octets at both proxies, so the
noise of the network between them, and that of the other proxy, drops out.  Of many events some
teach what is then used for all (`many`), and pairs are only formed where they overlap (`gates`), so
that time grows with the number of legs.

**The order.**  In a crowd all delays grow together and say little, but what comes first mostly goes
on first.  Of the legs that one HBONE connection carries, partners are therefore about as far in
order on one side as on the other (`order`).  That needs to be known who shares a connection, so it
is learnt from what is believed already, and both sharpen each other.

**What else decides** enters the same product: content (`likeness`) where payload was captured,
totals and order in time as gates that must hold, keys and logs where there are any.  Then all
legs are assigned jointly, one to one, each with the possibility that its partner was not captured.

What comes out are probabilities, and tests hold them to what they promise.
"""
